#include "nn/data/file_kind.h"

#include "tests/temporary_folder.h"
#include "tests/test.h"

TEST_SUITE_BEGIN("file_kind");

TEST_CASE("kind_of_bytes: the first bytes of each format name it") {
    const auto begins = [](const std::string& bytes, const std::string& words) {
        return kind_of_bytes(bytes).starts_with(words);
    };
    CHECK(begins("version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"));
    CHECK(begins("PK\x03\x04", "a zip archive"));
    CHECK(begins("\x1F\x8B", "a file compressed with gzip"));
    CHECK(begins("BZh9", "a file compressed with bzip2"));
    CHECK(
        begins("\xFD"
               "7zXZ",
               "a file compressed with xz"));
    CHECK(begins("\x28\xB5\x2F\xFD", "a file compressed with zstd"));
    CHECK(begins("\x89PNG\r\n\x1A\n", "a PNG picture"));
    CHECK(begins("\xFF\xD8\xFF\xE1", "a JPEG picture"));
    CHECK(begins("\x89HDF\r\n\x1A\n", "an HDF5 file"));
    CHECK(begins("\x93NUMPY\x01", "a NumPy array"));
    CHECK(begins("GGUF\x03", "a GGUF file"));
    CHECK(begins("\x80\x02}q", "a Python pickle"));
    CHECK(begins("\xFF\xFEh\x00", "text in UTF-16"));
    CHECK(begins(std::string("\x02\0\0\0\0\0\0\0{}", 10), "a safetensors file"));
    CHECK(begins(std::string("\0\0\x08\x03\0\0\0\x01", 8), "an IDX file"));
    CHECK(begins("P6\n2 2 255\n", "a PPM or PGM picture"));
    CHECK(begins("P4\n2 2\n", "a PBM or PAM picture"));
    CHECK(begins("<!DOCTYPE html>", "an HTML page"));
    CHECK(begins(" \n{\"a\": 1}", "JSON text"));
    CHECK(begins("\xEF\xBB\xBF[1]", "JSON text"));
    CHECK(begins("#version: 0.2\n", "the merges.txt"));
    for (const char* const words : {"", "P", "P6", "P9 1", "PK", "BZ", "version 2", "hello", "\x80", "GGU", "\xFF\xD8"})
        CHECK_MESSAGE(kind_of_bytes(words).empty(), words);
}

TEST_CASE("kind_that_is_no_text: JSON, HTML and merges are text; a git-lfs pointer is not") {
    for (const char* const words : {"{}", "[1]", "<html>", "#version: 0.2", "P6 is how it begins", "words", ""})
        CHECK_MESSAGE(kind_that_is_no_text(words).empty(), words);
    CHECK_FALSE(kind_that_is_no_text("version https://git-lfs.github.com/spec/v1").empty());
    CHECK(looks_like("PK\x05\x06") == "; it looks like an empty zip archive");
    CHECK(looks_like("words").empty());
}

TEST_CASE("read_text_file: drops a byte order mark, refuses binary files") {
    const TemporaryFolder folder;
    CHECK(read_text_file(folder.file("a",
                                     "\xEF\xBB\xBF"
                                     "abc\n")) == "abc\n");
    CHECK(read_text_file(folder.file("b", "abc\n")) == "abc\n");
    const std::string path = folder.file("c", "\x89PNG\r\n\x1A\n...");
    CHECK(error_of([&] { read_text_file(path); }) == path + ": is not text, it looks like a PNG picture");
}

TEST_CASE("kind_of_names: one characteristic name is enough, with any prefix, as a whole component") {
    CHECK(kind_of_names({"a", "vit.embeddings.patch_embeddings.projection.weight"}) ==
          "a ViT (vit.embeddings.patch_embeddings.projection.weight)");
    CHECK(kind_of_names({"transformer.wte.weight"}) == "a GPT-2 (transformer.wte.weight)");
    CHECK(kind_of_names({"wte.weight"}) == "a GPT-2 (wte.weight)");
    CHECK(kind_of_names({"bert.embeddings.word_embeddings.weight"}) == "a BERT (bert.embeddings.word_embeddings.weight)");
    // a ViT-MAE also has a ViT's names; the names that only it has decide
    CHECK(kind_of_names({"vit.embeddings.patch_embeddings.projection.weight", "decoder.mask_token"}) ==
          "a ViT-MAE (decoder.mask_token)");
    CHECK(kind_of_names({"notwte.weight", "wte.weight.more"}).empty());
    CHECK(kind_of_names({}).empty());
}

TEST_SUITE_END();
