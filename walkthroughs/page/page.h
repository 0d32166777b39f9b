// page.h: a lesson as one web page that needs nothing else: no library, no network, no server.
//
//   shows    every step with its question, code, numbers, reasons, predictions and pictures, and the claims at the end
//   note     Light and dark as the reader's system is; a printed page opens its predictions; n and p go to the next and the previous
//            step. The numbers are those that the text prints.
//   next     charts.h draws, html.h escapes
#pragma once
#include <string>
#include <vector>

#include "walkthroughs/lesson/item.h"

struct Page {
    std::string name;      // "vit/mae"
    std::string purpose;   // one sentence
    std::string duration;  // "about 20 seconds"
    std::string command;   // what a reader types to run it: "make walk-mae"
    std::vector<Item> items = {};
};

// The whole file.
std::string page_html(const Page& page);

// What every page begins and ends with; also used by the contents page and the traces.
//   title   of the window
//   more    further CSS
std::string page_head(const std::string& title, const std::string& more = "");
std::string page_foot();
