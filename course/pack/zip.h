// zip.h: a zip archive of files that are stored as they are, for a machine on which no zip program is installed.
//
//   format   PKWARE's APPNOTE: a local header before each file, a central directory after all of them
#pragma once
#include <string>
#include <vector>

struct ZipFile {
    std::string name;  // in the archive: "tree/Makefile"
    std::string bytes;
    bool executable = false;
};

std::string zip_bytes(const std::vector<ZipFile>& files);
