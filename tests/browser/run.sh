#!/bin/sh
# run.sh: opens web pages in headless Chromium: nothing may be complained of in the console, predictions open, pictures show, and in a
# trace a click on a cell shows the number that the program has.
#   tests/browser/run.sh FILE.html ...
# Ends with 0 when all is well, 1 when a page is not, 77 with a word where there is no browser (Debian: apt-get install chromium).
set -u
cd "$(dirname "$0")/../.."
browser=
for candidate in ${BROWSER:-chromium chromium-browser google-chrome}; do
    [ -n "$browser" ] || ! command -v "$candidate" >/dev/null || browser=$candidate
done
if [ -z "$browser" ]; then
    echo "browser: skipped, there is no Chromium here: apt-get install chromium"
    exit 77
fi
if ! timeout 60 "$browser" --headless --no-sandbox --disable-gpu --dump-dom about:blank 2>/dev/null | grep -q '<html'; then
    echo "browser: skipped, $browser does not start here"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
for page in "$@"; do
    { sed -e '$d' "$page" | sed -e '$d'; echo '<script>'; cat tests/browser/click.js; printf '</script>\n</body>\n</html>\n'; } > "$folder/page.html"
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" --enable-logging=stderr \
        --virtual-time-budget=20000 --dump-dom "file://$folder/page.html" > "$folder/dom" 2> "$folder/log"
    seen=$(sed -n -e 's/^<body[^>]*data-seen="\([^"]*\)".*/\1/p' "$folder/dom" | head -n 1)
    complaints=$(grep 'CONSOLE' "$folder/log" | sed -e 's/.*CONSOLE/console/')
    case $seen in ok*) ;; *) complaints="$complaints${seen:-the page did not run}" ;; esac
    if [ -n "$complaints" ]; then
        failed=1
        echo "browser: $page: $complaints"
    else
        echo "browser: $page: $seen"
    fi
done
exit $failed
