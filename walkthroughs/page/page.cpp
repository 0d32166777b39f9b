#include "walkthroughs/page/page.h"

#include "nn/base/require.h"
#include "walkthroughs/page/charts.h"
#include "walkthroughs/page/html.h"

// ---- what all pages share ---------------------------------------------------------------------------------------------------

static constexpr const char* style = R"css(
:root{color-scheme:light dark;--ink:#1b1c1f;--paper:#fdfdfc;--faint:#595f69;--line:#d8dbe0;--box:#f1f2f4;--link:#0a56c9;--good:#146c2e;--bad:#b3131b;
--s0:#0a56c9;--s1:#b35a00;--s2:#146c2e;--s3:#9b1c8e;--s4:#6b6500;--s5:#5b3fc4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e7ea;--paper:#15171b;--faint:#a2a9b4;--line:#383c44;--box:#21242a;--link:#8ab4ff;--good:#7fd197;--bad:#ff8f8f;
--s0:#7fb0ff;--s1:#ffb45e;--s2:#7fd197;--s3:#f29be8;--s4:#e0d65c;--s5:#bda9ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:56rem;font:1rem/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:break-word}
a{color:var(--link)} h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0} h2{font-size:1.15rem;margin:0}
.skip{position:absolute;left:-99rem} .skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.3rem;z-index:2}
.faint,figcaption,.source{color:var(--faint);font-size:.9rem}
section{border-top:1px solid var(--line);margin-top:1.6rem;padding-top:1rem;scroll-margin-top:.5rem}
.head{display:flex;flex-wrap:wrap;gap:.2rem 1.5rem;align-items:baseline}
.eq{font-family:Cambria,"STIX Two Text",Georgia,serif;font-size:1.1rem} sup,sub{font-size:.72em;line-height:0}
pre,code{font-family:ui-monospace,Consolas,"DejaVu Sans Mono",monospace;font-size:.86rem}
pre{background:var(--box);padding:.6rem .8rem;overflow-x:auto;margin:.7rem 0;border-radius:4px;line-height:1.4}
.label{font-weight:600;color:var(--faint);margin-right:.5rem}
.why{border-left:3px solid var(--line);padding-left:.8rem;margin:.7rem 0}
details{background:var(--box);border-radius:4px;padding:.5rem .8rem;margin:.7rem 0} summary{cursor:pointer}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
figure{margin:.7rem 0} .scroll{overflow-x:auto;max-width:100%} .row{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:flex-end;margin:.7rem 0} .row figure{margin:0;max-width:100%;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem} caption{text-align:left;padding-bottom:.2rem}
.m td,.m th{padding:.15rem .4rem;text-align:right} .m th{color:var(--faint);font-weight:normal} .wide{font-size:.72rem} .wide td,.wide th{padding:.1rem .2rem} .m .b{color:#000} .m .d{color:#fff} .nan{background:#d00;color:#fff}
.t td,.t th{padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--line);text-align:left} .t .n{text-align:right} .doc{min-width:46rem} .map dd{margin:.2rem 0 .9rem 1.2rem;line-height:1.8} .map dt{font-weight:600}
img,.px{image-rendering:pixelated} img{max-width:100%;height:auto;display:block}
svg{max-width:100%;height:auto;font-size:12px} svg text{fill:var(--ink)} .curves{width:35rem} .named{max-width:none}
.grid{stroke:var(--line);fill:none} path[class^=s]{fill:none;stroke-width:2}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)}.s5{stroke:var(--s5)}
circle{fill:var(--paper)}
.claim{margin:.3rem 0;padding:0;list-style:none} .holds b{color:var(--good)} .fails b{color:var(--bad)}
@media(max-width:30rem){.scroll table{font-size:.75rem} .m td,.m th{padding:.1rem .25rem}}
@media(min-width:80rem){.with-steps{max-width:76rem;display:grid;grid-template-columns:16rem minmax(0,1fr);gap:0 2.5rem}
.with-steps>nav{position:sticky;top:1rem;align-self:start;max-height:95vh;overflow:auto;font-size:.9rem;grid-row:1/span 9} .with-steps>:not(nav){grid-column:2}}
@media print{nav,.skip,.keys{display:none} body{max-width:none;display:block!important;font-size:.85rem} section{break-inside:auto} figure,pre,details{break-inside:avoid} svg.named{max-width:100%} pre:has(>code){white-space:pre-wrap} pre:not(:has(>code)){font-size:.6rem} .wide{font-size:.5rem} .wider{font-size:.36rem} .doc{min-width:0} .wide td,.wide th{padding:.05rem .12rem} .t{font-size:.66rem} .t td,.t th{padding-right:.4rem;overflow-wrap:anywhere} .t code{font-size:inherit} .head,h2{break-after:avoid} *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)css";

std::string page_head(const std::string& title, const std::string& more) {
    return joined(
        {"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n<title>",
         escaped(title), "</title>\n<style>", style, more, "</style>\n</head>\n"});
}

std::string page_foot() { return "</body>\n</html>\n"; }

// Printing opens what is hidden; n and p walk through the steps.
static constexpr const char* script = R"js(<script>
let opened = [];
addEventListener('beforeprint', () => { opened = [...document.querySelectorAll('details:not([open])')]; opened.forEach(d => d.open = true); });
addEventListener('afterprint', () => opened.forEach(d => d.open = false));
addEventListener('keydown', e => {
  const step = {n: 1, p: -1}[e.key];
  if (!step || e.ctrlKey || e.altKey || e.metaKey) return;
  const tops = [...document.querySelectorAll('section')], first = tops.findIndex(s => s.getBoundingClientRect().bottom > 20);
  const next = tops[Math.max(0, first + step)];  // none after the last
  if (next) { next.scrollIntoView(); next.querySelector('h2').focus(); }
});
</script>
)js";

// ---- items ------------------------------------------------------------------------------------------------------------------

static std::string step_html(const Item& item, int number) {
    return joined({"<section id=\"step-", number, "\" aria-labelledby=\"q", number, "\">\n<div class=\"head\"><h2 id=\"q", number,
                   "\" tabindex=\"-1\">", number, ". ", escaped(item.words), "</h2>",
                   item.equation.empty() ? "" : " <span class=\"eq\">" + formula_html(item.equation) + "</span>",
                   item.source.empty() ? "" : " <span class=\"source\">" + escaped(item.source) + "</span>", "</div>\n"});
}

static std::string code_html(const Item& item) {
    std::string html = "<pre><code>";
    for (const std::string& line : item.lines) html += escaped(line) + "\n";
    return html + "</code></pre>\n" + (item.source.empty() ? "" : "<p class=\"source\">" + escaped(item.source) + "</p>\n");
}

// Lessons write "what is x(2, 0)? It is 5: ...": what begins with "It is" is the answer.
static std::string prediction_html(const Item& item, const std::string& command) {
    const std::size_t end = item.answer.empty() ? item.words.find(" It is ") : std::string::npos;
    const std::string question = item.words.substr(0, end),
                      told = end == std::string::npos ? item.answer : item.words.substr(end + 1);
    const std::string answer =
        told.empty() ? "Write your guess down. Then read on, or make the change and run <code>" + escaped(command) + "</code>."
                     : escaped(told);
    return "<details class=\"predict\"><summary><span class=\"label\">predict</span>" + escaped(question) + "</summary><p>" +
           answer + "</p></details>\n";
}

static std::string pictures_html(const Item& item) {
    std::string html = "<div class=\"row\">\n";
    for (const Captioned& one : item.pictures) {
        const Drawing& drawing = one.block;
        if (!drawing.values.empty())
            html += heat_html(drawing.values, one.caption, drawing.row_names, drawing.col_names) + "\n";
        else if (!drawing.image.pixels.empty())
            html += "<figure>" + image_html(drawing.image, one.caption) + "<figcaption>" + escaped(one.caption) +
                    "</figcaption></figure>\n";
        else
            html += "<figure><pre>" + terminal_html(drawing.lines) + "</pre><figcaption>" + escaped(one.caption) +
                    "</figcaption></figure>\n";
    }
    return html + "</div>\n";
}

static std::string table_html(const Item& item) {
    std::string html = "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"table\"><table class=\"t\">\n";
    const std::vector<bool> numbers = number_columns(item.rows);
    for (std::size_t r = 0; r < item.rows.size(); ++r) {
        const std::string tag = r == 0 ? "th" : "td";
        html += "<tr>";
        for (std::size_t c = 0; c < item.rows[r].size(); ++c)
            html += "<" + tag + (r == 0 ? " scope=\"col\"" : "") + (numbers[c] ? " class=\"n\"" : "") + ">" +
                    escaped(item.rows[r][c]) + "</" + tag + ">";
        html += "</tr>\n";
    }
    return html + "</table></div>\n";
}

static std::string claim_html(const Item& item) {
    return joined({"<p class=\"claim ", item.holds ? "holds" : "fails", "\"><b>", item.holds ? "\u2713 holds" : "\u2717 FAILS",
                   "</b> ", escaped(item.words), "</p>\n"});
}

static std::string item_html(const Item& item, const Page& page) {
    switch (item.kind) {
        case Item::Kind::step: return "";  // page_html numbers them
        case Item::Kind::say: return "<p>" + escaped(item.words) + "</p>\n";
        case Item::Kind::why: return "<p class=\"why\"><span class=\"label\">why</span>" + escaped(item.words) + "</p>\n";
        case Item::Kind::predict: return prediction_html(item, page.command);
        case Item::Kind::code: return code_html(item);
        case Item::Kind::matrix: return matrix_html(item.words, item.matrix, item.most);
        case Item::Kind::pictures: return pictures_html(item);
        case Item::Kind::curves: return curves_html(item.series, item.axes);
        case Item::Kind::table: return table_html(item);
        case Item::Kind::lines:
            return item.lines == std::vector<std::string>{""} ? "" : "<pre>" + terminal_html(item.lines) + "</pre>\n";
        case Item::Kind::claim: return claim_html(item);
    }
    return "";
}

std::string page_html(const Page& page) {
    std::string steps, contents;
    int count = 0;
    bool open = false;
    for (const Item& item : page.items) {
        if (item.kind == Item::Kind::step) {
            ++count;
            steps += (open ? "</section>\n" : "") + step_html(item, count);
            contents += joined({"<li><a href=\"#step-", count, "\">", escaped(item.words), "</a></li>\n"});
            open = true;
        } else {
            steps += item_html(item, page);
        }
    }
    if (open) steps += "</section>\n";
    return page_head(page.name) +
           "<body class=\"with-steps\">\n<a class=\"skip\" href=\"#steps\">to the steps</a>\n<nav aria-label=\"steps\">\n<ol>\n" +
           contents + "</ol>\n</nav>\n<header>\n<p class=\"faint\">" + escaped(page.name) + "</p>\n<h1>" + escaped(page.purpose) +
           "</h1>\n<p class=\"faint\">Run it yourself: <code>" + escaped(page.command) + "</code>, " + escaped(page.duration) +
           ". <span class=\"keys\">Keys: n next step, p previous step.</span></p>\n</header>\n<main id=\"steps\">\n" + steps +
           "</main>\n" + script + page_foot();
}
