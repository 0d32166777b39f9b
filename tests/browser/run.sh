#!/bin/sh
# run.sh: opens web pages in headless Chromium, in several windows, light, dark and printed: what run.py looks for.
#   tests/browser/run.sh FILE.html ... [--screenshots FOLDER]
# Ends with 0 when all is well, 1 when a page is not, 77 with a word where there is no browser or no Python (Debian: apt-get install
# chromium python3).
set -u
cd "$(dirname "$0")/../.."
browser=
for candidate in ${BROWSER:-chromium chromium-browser google-chrome}; do
    [ -n "$browser" ] || ! command -v "$candidate" >/dev/null || browser=$candidate
done
if [ -z "$browser" ] || ! command -v python3 >/dev/null; then
    echo "browser: skipped, there is no Chromium or no Python here: apt-get install chromium python3"
    exit 77
fi
if ! timeout 60 "$browser" --headless --no-sandbox --disable-gpu --dump-dom about:blank 2>/dev/null | grep -q '<html'; then
    echo "browser: skipped, $browser does not start here"
    exit 77
fi
exec python3 tests/browser/run.py "$browser" "$@"
