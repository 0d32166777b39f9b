#include "walkthroughs/page/markdown.h"

#include <algorithm>
#include <vector>

#include "nn/data/text.h"
#include "walkthroughs/page/html.h"

// Links, `code` and **bold** inside a line.
static std::string inline_html(std::string_view words, const LinkTarget& target) {
    std::string html;
    for (std::size_t k = 0; k < words.size();) {
        const std::string_view rest = words.substr(k);
        const std::size_t tick = rest[0] == '`' ? rest.find('`', 1) : std::string_view::npos;
        const std::size_t star = rest.starts_with("**") ? rest.find("**", 2) : std::string_view::npos;
        const std::size_t middle = rest[0] == '[' ? rest.find("](") : std::string_view::npos;
        const std::size_t end = middle == std::string_view::npos ? middle : rest.find(')', middle);
        if (tick != std::string_view::npos) {
            html += "<code>" + escaped(rest.substr(1, tick - 1)) + "</code>";
            k += tick + 1;
        } else if (star != std::string_view::npos) {
            html += "<b>" + inline_html(rest.substr(2, star - 2), target) + "</b>";
            k += star + 2;
        } else if (end != std::string_view::npos) {
            const std::string inside = inline_html(rest.substr(1, middle - 1), target),
                              to = target(std::string(rest.substr(middle + 2, end - middle - 2)));
            html += to.empty() ? inside : "<a href=\"" + escaped(to) + "\">" + inside + "</a>";
            k += end + 1;
        } else {
            const std::size_t next = std::min(rest.find_first_of("`*[", 1), rest.size());
            html += escaped(rest.substr(0, next));
            k += next;
        }
    }
    return html;
}

// The cells of "| a | b |"; a bar inside `code` is part of it.
static std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells;
    std::string cell;
    bool in_code = false;
    for (std::size_t k = 1; k < line.size(); ++k) {
        in_code = in_code != (line[k] == '`');
        if (line[k] != '|' || in_code) {
            cell += line[k];
            continue;
        }
        const std::size_t first = std::min(cell.find_first_not_of(' '), cell.size());
        cells.push_back(cell.substr(first, cell.find_last_not_of(' ') + 1 - first));
        cell.clear();
    }
    return cells;
}

static std::string table_row(const std::string& line, const std::string& tag, const LinkTarget& target) {
    std::string html = "<tr>";
    for (const std::string& cell : cells_of(line)) html += "<" + tag + ">" + inline_html(cell, target) + "</" + tag + ">";
    return html + "</tr>\n";
}

// 2 of "  - item" and of "12. item": where the text begins; 0 when it is not an item.
static std::size_t item_mark(std::string_view line) {
    const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
    std::size_t end = first;
    while (end < line.size() && line[end] >= '0' && line[end] <= '9') ++end;
    if (end > first && line.substr(end).starts_with(". ")) return end + 2;
    return line.substr(first).starts_with("- ") ? first + 2 : 0;
}

namespace {

class MarkdownReader {
public:
    MarkdownReader(std::string_view markdown, const LinkTarget& target) : lines(split_lines(markdown)), target(target) {}

    std::string whole() {
        std::string html;
        while (at < lines.size()) html += block();
        return html;
    }

private:
    std::vector<std::string> lines;
    const LinkTarget& target;
    std::size_t at = 0;

    std::string block() {
        const std::string& line = lines[at];
        if (line.starts_with("```")) return code();
        if (line.starts_with("#")) return heading();
        if (line.starts_with("|")) return table();
        if (item_mark(line) != 0) return list();
        if (line.empty() || line.starts_with("<!--")) {
            ++at;
            return "";
        }
        return "<p>" + inline_html(paragraph(line, 0), target) + "</p>\n";
    }

    // This line from `first` on and those that continue it.
    std::string paragraph(const std::string& line, std::size_t first) {
        std::string words = line.substr(first);
        for (++at; at < lines.size() && continues(lines[at]); ++at)
            words += " " + lines[at].substr(std::min(lines[at].find_first_not_of(' '), lines[at].size()));
        return words;
    }

    static bool continues(const std::string& line) {
        return !line.empty() && !line.starts_with("```") && !line.starts_with("#") && !line.starts_with("|") &&
               !line.starts_with("<!--") && item_mark(line) == 0;
    }

    std::string code() {
        std::string html = "<pre><code>";
        for (++at; at < lines.size() && !lines[at].starts_with("```"); ++at) html += escaped(lines[at]) + "\n";
        ++at;
        return html + "</code></pre>\n";
    }

    std::string heading() {
        const std::string& line = lines[at++];
        const std::size_t level = std::min<std::size_t>(line.find_first_not_of('#'), 4);
        const std::string tag = "h" + std::to_string(level);
        return "<" + tag + ">" + inline_html(std::string_view(line).substr(std::min(level + 1, line.size())), target) + "</" +
               tag + ">\n";
    }

    std::string table() {
        std::string html = "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"table\"><table class=\"t doc\">\n" +
                           table_row(lines[at], "th", target);
        for (++at; at < lines.size() && lines[at].starts_with("|"); ++at)
            if (!lines[at].starts_with("| ---")) html += table_row(lines[at], "td", target);
        return html + "</table></div>\n";
    }

    // Items of one depth, and those indented further as nested lists.
    std::string list() {
        const std::size_t depth = lines[at].find_first_not_of(' ');
        const std::string tag = lines[at][depth] == '-' ? "ul" : "ol";
        std::string html = "<" + tag + ">\n";
        while (at < lines.size() && item_mark(lines[at]) != 0 && lines[at].find_first_not_of(' ') >= depth) {
            if (lines[at].find_first_not_of(' ') > depth)
                html += "<li>" + list() + "</li>\n";
            else
                html += "<li>" + inline_html(paragraph(lines[at], item_mark(lines[at])), target) + "</li>\n";
        }
        return html + "</" + tag + ">\n";
    }
};

}  // namespace

std::string markdown_html(std::string_view markdown, const LinkTarget& target) {
    return MarkdownReader(markdown, target).whole();
}

std::string markdown_section(std::string_view markdown, std::string_view heading) {
    std::string section;
    bool inside = false;
    for (const std::string& line : split_lines(markdown)) {
        if (line.starts_with("## ")) inside = line == "## " + std::string(heading);
        if (inside) section += line + "\n";
    }
    return section;
}
