#include "walkthroughs/page/book.h"

#include "nn/data/file.h"
#include "tests/temporary_folder.h"
#include "tests/test.h"

#include <filesystem>

TEST_SUITE_BEGIN("book");

TEST_CASE("link_in_book: lessons, folders and README files lead to pages, what the book does not hold to nothing") {
    const std::vector<std::string> pages{"README.html", "vit/README.html", "vit/vit.html", "nn/README.html"};
    CHECK(link_in_book("../walkthroughs/vit/vit.cpp", "vit/README.md", pages) == "../vit/vit.html");
    CHECK(link_in_book("vit", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book("vit/README.md#map", "README.md", pages) == "vit/README.html");
    CHECK(link_in_book("..", "vit/README.md", pages) == "../README.html");
    CHECK(link_in_book("vit.h", "vit/README.md", pages).empty());
    CHECK(link_in_book("#here", "README.md", pages).empty());
    CHECK(link_in_book("https://arxiv.org/abs/1706.03762", "README.md", pages) == "https://arxiv.org/abs/1706.03762");
}

// The targets of the links of a page that are no addresses of the web.
static std::vector<std::string> links_of(const std::string& html) {
    std::vector<std::string> links;
    for (std::size_t at = html.find(" href=\""); at != std::string::npos; at = html.find(" href=\"", at + 1)) {
        const std::string link = html.substr(at + 7, html.find('"', at + 7) - at - 7);
        if (link.find("://") == std::string::npos && !link.starts_with("data:") && !link.starts_with("#")) links.push_back(link);
    }
    return links;
}

TEST_CASE("write_book: contents, systems, ledgers and every README; each link of each page leads to a file of the folder") {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder.path("vit"));
    folder.file("vit/vit.html", "<h1>Reads digits.</h1>");
    write_book(folder.path("."), "| system |\n| --- |\n| [vit](vit/vit.h), [lesson](walkthroughs/vit/vit.cpp) |\n");
    CHECK(read_file(folder.path("index.html")).find("<li><a href=\"vit/vit.html\">vit</a> Reads digits.</li>") !=
          std::string::npos);
    CHECK(read_file(folder.path("systems.html")).find("<td>vit, <a href=\"vit/vit.html\">lesson</a></td>") != std::string::npos);
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

TEST_CASE("write_book: a folder without lessons is refused") {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH(write_book(folder.path("."), ""), doctest::Contains("; make pages writes them"));
}

TEST_SUITE_END();
