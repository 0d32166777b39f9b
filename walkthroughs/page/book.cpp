#include "walkthroughs/page/book.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"
#include "walkthroughs/page/html.h"
#include "walkthroughs/page/markdown.h"
#include "walkthroughs/page/page.h"

static const std::vector<std::string> chapters{"nn", "bert", "gpt", "vit", "rlhf", "course", "walkthroughs"};

// ---- paths ------------------------------------------------------------------------------------------------------------------

static std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// "vit/../nn/x" is "nn/x".
static std::string without_detours(const std::string& path) {
    std::vector<std::string> parts;
    for (const std::string& part : split(path, '/')) {
        if (part == ".." && !parts.empty())
            parts.pop_back();
        else if (!part.empty() && part != ".")
            parts.push_back(part);
    }
    std::string clean;
    for (const std::string& part : parts) clean += (clean.empty() ? "" : "/") + part;
    return clean;
}

// The relative link from page `from` to page `to`, both relative to the book's folder.
static std::string relative(const std::string& to, const std::string& from) {
    std::string up;
    for (const char letter : from)
        if (letter == '/') up += "../";
    return up + to;
}

std::string link_in_book(const std::string& target, const std::string& from, const std::vector<std::string>& pages) {
    if (target.find("://") != std::string::npos) return target;
    if (target.starts_with('#')) return "";
    std::string path = without_detours(folder_of(from) + target.substr(0, target.find('#')));
    if (path.starts_with("walkthroughs/") && path.ends_with(".cpp")) path = path.substr(13, path.size() - 13 - 4) + ".html";
    if (path.ends_with(".md")) path = path.substr(0, path.size() - 3) + ".html";
    for (const std::string& page : {path, path + (path.empty() ? "" : "/") + "README.html"})
        if (std::find(pages.begin(), pages.end(), page) != pages.end()) return relative(page, from);
    return "";
}

// ---- pages ------------------------------------------------------------------------------------------------------------------

static std::string book_page(const std::string& title, const std::string& path, const std::string& body) {
    std::string nav = "<nav aria-label=\"book\"><p>";
    for (const auto& [name, to] : {std::pair{"contents", "index.html"},
                                   {"systems", "systems.html"},
                                   {"ledgers", "ledgers.html"},
                                   {"about", "README.html"}})
        nav += "<a href=\"" + relative(to, path) + "\">" + name + "</a> ";
    return page_head(title) + "<body>\n" + nav + "</p></nav>\n<main>\n" + body + "</main>\n" + page_foot();
}

// The text between <h1> and </h1> of a lesson's page: its purpose.
static std::string heading_of(const std::string& html) {
    const std::size_t begin = html.find("<h1>"), end = html.find("</h1>");
    return begin == std::string::npos || end == std::string::npos ? "" : html.substr(begin + 4, end - begin - 4);
}

// "vit" of "vit/vit.h", "vit/detect" of "vit/detect/boxes.h".
static std::string place_of(const std::string& path) {
    const std::string folder = folder_of(path);
    return folder.empty() ? path : folder.substr(0, folder.size() - 1);
}

// The floors from the highest to the lowest, each with its systems; a system leads to its lesson.
//   systems  rows "| [name](header) | idea | neighbour | [lesson](source) | test |"
static std::string map_of_systems(const std::string& systems, const std::vector<std::string>& pages) {
    std::map<std::string, std::string> floors;  // name of a folder, its systems
    for (const std::string& line : split_lines(systems)) {
        const std::vector<std::string> cells = split(line, '|');
        if (cells.size() < 5 || cells[1].find("](") == std::string::npos) continue;
        const auto between = [](const std::string& words, const char* open, char close) {
            const std::size_t begin = words.find(open);
            if (begin == std::string::npos) return std::string();
            const std::size_t from = begin + std::string(open).size();
            return words.substr(from, words.find(close, from) - from);
        };
        const std::string name = between(cells[1], "[", ']'), header = between(cells[1], "](", ')');
        const std::string source = between(cells[4], "](", ')');
        const std::string lesson = source.empty() ? "" : link_in_book(source, "README.md", pages);
        const std::string about = " title=\"" + escaped(cells[2].substr(std::min<std::size_t>(1, cells[2].size()))) + "\"";
        floors[place_of(header)] += (lesson.empty() ? "<span" + about + ">" + escaped(name) + "</span>"
                                                    : "<a href=\"" + lesson + "\"" + about + ">" + escaped(name) + "</a>") +
                                    " \u00b7 ";
    }
    std::string html = "<dl class=\"map\">\n";
    for (const char* const floor : {"rlhf", "vit", "gpt", "bert", "nn"})
        for (auto& [place, list] : floors)
            if (place == floor || place.starts_with(std::string(floor) + "/"))
                html += "<dt>" + escaped(place) + "</dt><dd>" + list.substr(0, list.size() - 4) + "</dd>\n";
    return html + "</dl>\n";
}

static std::string contents(const std::string& folder, const std::vector<std::string>& lessons) {
    std::map<std::string, std::string> lists;  // of each folder
    for (const std::string& lesson : lessons) {
        const std::string name = lesson.substr(0, lesson.size() - 5);
        lists[folder_of(lesson)] += "<li><a href=\"" + escaped(lesson) + "\">" + escaped(name.substr(name.rfind('/') + 1)) +
                                    "</a> " + heading_of(read_file(folder + "/" + lesson)) + "</li>\n";
    }
    std::string html =
        "<h1>Transformers, floor by floor</h1>\n<p>Each lesson is a program that explains itself; this is what it says. <a "
        "href=\"systems.html\">All systems</a>, "
        "<a href=\"ledgers.html\">where the code differs from the papers</a>, <a href=\"README.html\">how the project is "
        "built</a>.</p>\n";
    for (const std::string& chapter : chapters)
        for (const auto& [place, list] : lists)
            if (place.starts_with(chapter + "/"))
                html +=
                    "<section><h2>" + escaped(place.substr(0, place.size() - 1)) + "</h2>\n<ul>\n" + list + "</ul></section>\n";
    return html;
}

// The ledger of a README, for a page in the book's own folder; "" when it has none.
static std::string ledger_of(const std::string& readme, const std::string& words, const std::vector<std::string>& pages) {
    const std::string ledger = markdown_section(words, "Ledger of differences");
    if (ledger.empty()) return "";
    return markdown_html(ledger.substr(ledger.find('\n')), [&](const std::string& target) {
        const std::string link = link_in_book(target, readme, pages);  // seen from the README, not from the book's folder
        return link.find("://") != std::string::npos || link.empty() ? link : without_detours(folder_of(readme) + link);
    });
}

// A lesson's page is written without links to the book; here they are added.
static void link_to_contents(const std::string& folder, const std::string& lesson) {
    const std::string mark = "<nav aria-label=\"steps\">\n", link = "<p class=\"up\">";
    const std::string path = folder + "/" + lesson;
    std::string html = read_file(path);
    const std::size_t at = html.find(mark);
    if (at == std::string::npos || html.compare(at + mark.size(), link.size(), link) == 0) return;
    html.insert(at + mark.size(), link + "<a href=\"" + relative("index.html", lesson) + "\">all lessons</a></p>\n");
    write_file_atomically(path, html);
}

void write_book(const std::string& folder, const std::string& systems) {
    std::vector<std::string> lessons, readmes{"README.md"}, pages{"index.html", "systems.html", "ledgers.html"};
    for (const std::string& chapter : chapters)
        for (const std::string& path : files_below(chapter))
            if (path.ends_with(".md")) readmes.push_back(path);
    for (const std::string& readme : readmes) pages.push_back(readme.substr(0, readme.size() - 3) + ".html");
    for (const std::string& path : files_below(folder)) {
        const std::string name = path.substr(folder.size() + 1);
        const bool is_ours = std::find(pages.begin(), pages.end(), name) != pages.end();  // written by an earlier call
        if (name.ends_with(".html") && !is_ours) lessons.push_back(name);
    }
    require(!lessons.empty(), "book: there is no page of a lesson in ", folder, "; make pages writes them");
    pages.insert(pages.end(), lessons.begin(), lessons.end());

    std::string ledgers, ledger_links;
    for (const std::string& readme : readmes) {
        const std::string path = readme.substr(0, readme.size() - 3) + ".html", words = read_file(readme);
        const std::string body =
            markdown_html(words, [&](const std::string& target) { return link_in_book(target, readme, pages); });
        std::filesystem::create_directories(folder + "/" + folder_of(path));
        write_file_atomically(folder + "/" + path, book_page(readme, path, body));
        const std::string rows = ledger_of(readme, words, pages);
        if (rows.empty()) continue;
        const std::string place = folder_of(readme).empty() ? readme : place_of(readme);
        ledgers += "<section id=\"" + escaped(place) + "\"><h2>" + escaped(place) + "</h2>\n" + rows + "</section>\n";
        ledger_links += "<li><a href=\"ledgers.html#" + escaped(place) + "\">" + escaped(place) + "</a></li>\n";
    }
    for (const std::string& lesson : lessons) link_to_contents(folder, lesson);
    const LinkTarget from_top = [&](const std::string& target) { return link_in_book(target, "README.md", pages); };
    write_file_atomically(folder + "/ledgers.html", book_page("ledgers", "ledgers.html",
                                                              "<h1>Where the code differs from the papers, and why</h1>\n<ul>\n" +
                                                                  ledger_links + "</ul>\n" + ledgers));
    write_file_atomically(folder + "/systems.html",
                          book_page("systems", "systems.html", "<h1>All systems</h1>\n" + markdown_html(systems, from_top)));
    write_file_atomically(
        folder + "/index.html",
        book_page(
            "contents", "index.html",
            contents(folder, lessons) +
                "<section><h2>Map of the systems</h2>\n<p>A folder uses only folders below it. A system leads to its lesson; <a href=\"systems.html\">systems</a> says what each one is.</p>\n" +
                map_of_systems(systems, pages) +
                "</section>\n<section><h2>Ledgers: what differs from paper and published code</h2>\n<ul>\n" + ledger_links +
                "</ul></section>\n"));
}
