#include "walkthroughs/page/book.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"
#include "tests/this_process.h"

#include <filesystem>

TEST_SUITE_BEGIN("book");

TEST_CASE("link_in_book: lessons, folders and README files lead to pages; other files have no link") {
    const std::vector<std::string> pages{"README.html", "vit/README.html", "vit/vit.html", "nn/README.html"};
    CHECK(link_in_book("../walkthroughs/vit/vit.cpp", "vit/README.md", pages) == "../vit/vit.html");
    CHECK(link_in_book("vit", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book("vit/README.md#map", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book("..", "vit/README.md", pages) == "../README.html");
    CHECK(link_in_book("./vit", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book(std::string("vit/") + "/README.md", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book("../../nn/", "vit/README.md", pages).empty());  // above the book
    CHECK(link_in_book("walkthroughs/README.md", "README.md", {"walkthroughs/README.html"}) == "walkthroughs/README.html");
    CHECK(link_in_book("vit/vit.cpp", "README.md", pages).empty());  // the source itself is not the lesson
    CHECK(link_in_book("vit.h", "vit/README.md", pages).empty());
    CHECK(link_in_book("#here", "README.md", pages).empty());
    CHECK(link_in_book("https://arxiv.org/abs/1706.03762", "README.md", pages) == "https://arxiv.org/abs/1706.03762");
}

// The link targets of a page that are not web addresses.
static std::vector<std::string> links_of(const std::string& html) {
    std::vector<std::string> links;
    for (std::size_t at = html.find(" href=\""); at != std::string::npos; at = html.find(" href=\"", at + 1)) {
        const std::string whole = html.substr(at + 7, html.find('"', at + 7) - at - 7), link = whole.substr(0, whole.find('#'));
        if (link.find("://") == std::string::npos && !link.starts_with("data:") && !link.empty()) links.push_back(link);
    }
    return links;
}

TEST_CASE("write_book: contents, systems, ledgers and every README; each link of each page leads to a file of the folder") {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder.path("vit"));
    folder.file("vit/vit.html", "<nav aria-label=\"steps\">\n</nav><h1>Reads digits.</h1>");
    const std::string systems =
        "| system | idea | neighbour | lesson | test |\n| --- | --- | --- | --- | --- |\n"
        "| [vit](vit/vit.h) | ViT. Patches. |  | [vit](walkthroughs/vit/vit.cpp) | [test](tests/vit/vit_test.cpp) |\n"
        "| [boxes](vit/detect/boxes.h) | Boxes. |  |  |  |\n";
    write_book(folder.path("."), systems);
    write_book(folder.path("."), systems);  // once more changes nothing
    CHECK(
        read_file(folder.path("vit/vit.html")) ==
        "<nav aria-label=\"steps\">\n<p class=\"up\"><a href=\"../index.html\">all lessons</a></p>\n</nav><h1>Reads digits.</h1>");
    const std::string index = read_file(folder.path("index.html"));
    CHECK(index.find("STUDENTS") == std::string::npos);  // the page of a README is not a lesson
    CHECK(index.find("<dt>vit</dt><dd><a href=\"vit/vit.html\" title=\"ViT. Patches. \">vit</a></dd>") != std::string::npos);
    CHECK(index.find("<dt>vit/detect</dt><dd><span title=\"Boxes. \">boxes</span></dd>") != std::string::npos);
    CHECK(index.find("<li><a href=\"ledgers.html#nn\">nn</a></li>") != std::string::npos);
    CHECK(read_file(folder.path("ledgers.html")).find("<section id=\"nn\"><h2>nn</h2>") != std::string::npos);
    CHECK(read_file(folder.path("index.html")).find("<li><a href=\"vit/vit.html\">vit</a> Reads digits.</li>") !=
          std::string::npos);
    CHECK(read_file(folder.path("systems.html")).find("<td><a href=\"vit/vit.html\">vit</a></td>") != std::string::npos);
    CHECK(read_file(folder.path("ledgers.html")).find("<h2>nn</h2>") != std::string::npos);
    std::size_t links = 0;
    for (const std::string& path : files_below(folder.path(".")))
        if (path.ends_with(".html"))
            for (const std::string& link : links_of(read_file(path))) {
                ++links;
                INFO(path, " links to ", link);
                CHECK(is_file((std::filesystem::path(path).parent_path() / link).string()));
            }
    CHECK(links > 100);
}

TEST_CASE("write_book: lessons by folder, with or without a heading; systems from the highest floor to the lowest") {
    const TemporaryFolder folder;
    const std::string nav = "<nav aria-label=\"steps\">\n", bare = "<h1>not closed";
    std::filesystem::create_directories(folder.path("rlhf/agents"));
    std::filesystem::create_directories(folder.path("vit"));
    std::filesystem::create_directories(folder.path("nn"));
    folder.file("rlhf/agents/c.html", nav + "<h1>C.</h1>");
    folder.file("vit/b.html", bare);
    folder.file("nn/a.html", "closed only</h1>");
    write_book(
        folder.path("."),
        "| [matrix](nn/base/matrix.h) | Matrix. |  |  |  |\n| [short](nn/short.h) | Short. |\n"
        "| no link | x |  |  |  |\n| [gpt](gpt/gpt.h) | GPT. ||\n| [vit](vit/vit.h) | ViT. |  |  |  |\n| [mae](vit/mae.h) | MAE. |  |  |  |\n"
        "| [vita](vita/vita.h) | elsewhere |  |  |  |\n| [ppo](rlhf/ppo.h) | PPO. |  |  |  |\n");
    CHECK(read_file(folder.path("vit/b.html")) == bare);  // without a list of steps it has no place for a link
    CHECK(read_file(folder.path("rlhf/agents/c.html")) ==
          nav + "<p class=\"up\"><a href=\"../../index.html\">all lessons</a></p>\n<h1>C.</h1>");
    const std::string index = read_file(folder.path("index.html"));
    CHECK(
        index.find("<section><h2>nn</h2>\n<ul>\n<li><a href=\"nn/a.html\">a</a> </li>\n</ul></section>\n"
                   "<section><h2>vit</h2>\n<ul>\n<li><a href=\"vit/b.html\">b</a> </li>\n</ul></section>\n"
                   "<section><h2>rlhf/agents</h2>\n<ul>\n<li><a href=\"rlhf/agents/c.html\">c</a> C.</li>\n</ul></section>\n") !=
        std::string::npos);
    CHECK(index.find("<dl class=\"map\">\n<dt>rlhf</dt><dd><span title=\"PPO. \">ppo</span></dd>\n"
                     "<dt>vit</dt><dd><span title=\"ViT. \">vit</span> \u00b7 <span title=\"MAE. \">mae</span></dd>\n"
                     "<dt>gpt</dt><dd><span title=\"GPT. \">gpt</span></dd>\n"
                     "<dt>nn/base</dt><dd><span title=\"Matrix. \">matrix</span></dd>\n</dl>\n") != std::string::npos);
    // the first page's own links, from a folder
    const std::string students = read_file(folder.path("course/STUDENTS.html"));
    CHECK(students.find("<a href=\"../index.html\">contents</a> <a href=\"../systems.html\">systems</a> <a "
                        "href=\"../ledgers.html\">ledgers</a> <a href=\"../README.html\">about</a> ") != std::string::npos);
}

TEST_CASE("write_book: links of a ledger are seen from its README and written for the book's own folder") {
    const TemporaryFolder folder;
    const WorkingFolder inside(folder.path("."));
    std::filesystem::create_directories("vit");
    std::filesystem::create_directories("book/vit");
    folder.file("book/vit/a.html", "<h1>A.</h1>");
    folder.file("README.md", "## Ledger of differences\n| [p](https://a.org/p) | [v](vit/README.md) |\n");
    folder.file("vit/README.md",
                "## Ledger of differences\n| [up](../README.md) | [q](https://a.org/q) | [gone](x.h) |\n## More\n");
    write_book("book", "");
    const std::string ledgers = read_file("book/ledgers.html");
    CHECK(ledgers.find("<th><a href=\"https://a.org/p\">p</a></th><th><a href=\"vit/README.html\">v</a></th>") !=
          std::string::npos);
    CHECK(ledgers.find("<th><a href=\"README.html\">up</a></th><th><a href=\"https://a.org/q\">q</a></th><th>gone</th>") !=
          std::string::npos);
}

TEST_CASE("write_book: a folder without lessons is refused") {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH(write_book(folder.path("."), ""), doctest::Contains("; make pages writes them"));
}

TEST_SUITE_END();
