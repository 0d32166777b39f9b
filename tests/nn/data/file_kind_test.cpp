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
    CHECK(begins("\x89PNG\r\n\x1A\n", "a PNG image"));
    for (const std::string changed : {"\x89PNG\n\x1A\n", "\x89PNG\r\r\n\x1A\r\n"})
        CHECK(begins(changed, "a PNG image that a transfer as text has changed; fetch it again as binary data"));
    CHECK(begins("\xFF\xD8\xFF\xE1", "a JPEG image"));
    CHECK(begins("\x89HDF\r\n\x1A\n", "an HDF5 file"));
    CHECK(begins("\x93NUMPY\x01", "a NumPy array"));
    CHECK(begins("GGUF\x03", "a GGUF file"));
    CHECK(begins("\x80\x02}q", "a Python pickle"));
    CHECK(begins("\x80\x05}q", "a Python pickle"));
    CHECK(begins("\xFF\xFEh\x00", "text in UTF-16"));
    CHECK(begins(std::string("\x02\0\0\0\0\0\0\0{}", 10), "a safetensors file"));
    CHECK(begins(std::string("\0\0\x08\x03\0\0\0\x01", 8), "an IDX file"));
    // formats that no program here reads, and what to do with them
    CHECK(kind_of_bytes("\x80\x04\x95\x10") ==
          "a Python pickle, as older PyTorch files are; a checkpoint must be converted to safetensors");
    CHECK(begins("\x81\xA6params\x81\xA3wte", "a msgpack file, as Flax writes them; a checkpoint must be converted"));
    CHECK(begins("\x08\x07\x12\x07pytorch", "a protocol buffer, as ONNX and TensorFlow write them; a checkpoint must"));
    CHECK(begins(std::string("\x1C\0\0\0TFL3", 8), "a TensorFlow Lite file; a checkpoint must be converted"));
    CHECK(begins("lmgg\x01", "a GGML file; a checkpoint must be converted"));
    CHECK(begins("\n\x0E\n\x05<unk>\x15", "a SentencePiece model"));
    CHECK(begins(std::string(257, 'a') + "ustar", "a tar archive; unpack it first: tar xf FILE"));
    CHECK(begins("7z\xBC\xAF\x27\x1C", "a 7z archive"));
    CHECK(begins("Rar!\x1A\x07", "a rar archive"));
    CHECK(begins("\x04\x22\x4D\x18", "a file compressed with lz4"));
    CHECK(kind_of_bytes("RIFF1234WEBP") == "a WebP image; convert it to PPM: magick FILE FILE.ppm");
    CHECK(begins("RIFF1234WAVE", "a sound file"));
    CHECK(begins(std::string("II*\0", 4), "a TIFF image; convert it"));
    CHECK(begins(std::string("MM\0*", 4), "a TIFF image; convert it"));
    CHECK(begins(std::string("BM1234\0\0\0\0", 10), "a BMP image; convert it"));
    CHECK(begins(std::string("\0\0\0\x18"
                             "ftypheic",
                             12),
                 "a HEIC or AVIF image, or an MP4 video; convert it"));
    CHECK(begins("SQLite format 3", "an SQLite database"));
    CHECK(begins("PAR1", "a Parquet table"));
    CHECK(begins("\xD0\xCF\x11\xE0", "a document of an office program"));
    CHECK(begins(std::string("\xFF\xFE\0\0", 4), "text in UTF-32; convert it: iconv -f UTF-32"));
    CHECK(begins(std::string("[\0P\0A\0D\0", 8), "text in UTF-16; convert it: iconv -f UTF-16LE"));
    CHECK(begins(std::string("\0[\0P\0A\0D", 8), "text in UTF-16; convert it: iconv -f UTF-16BE"));
    CHECK(begins("P6\n2 2 255\n", "a PPM or PGM image"));
    CHECK(begins("P4\n2 2\n", "a PBM or PAM image"));
    for (const char* const header : {"P6 1", "P6\n1", "P6\r\n1", "P6\t1", "P6#c\n", "P2 ", "P3 ", "P5 "})
        CHECK_MESSAGE(begins(header, "a PPM or PGM image"), header);
    for (const char* const header : {"P1 ", "P4 ", "P7\n"}) CHECK_MESSAGE(begins(header, "a PBM or PAM image"), header);
    for (const char* const words : {"P0 1", "P8 1", "P6", "P6a"}) CHECK_MESSAGE(kind_of_bytes(words) == "", words);
    CHECK(begins("<!DOCTYPE html>", "an HTML page"));
    CHECK(begins(" \n{\"a\": 1}", "JSON text"));
    CHECK(begins("\xEF\xBB\xBF[1]", "JSON text"));
    CHECK(begins("[]", "JSON text"));
    CHECK(begins("{\n", "JSON text"));
    CHECK(begins("#version: 0.2\n", "the merges.txt"));
    CHECK(begins("[PAD]\n[UNK]\n", "the vocab.txt of a BERT tokenizer"));
    CHECK(begins("[PAD]\r\n[UNK]\r\n", "the vocab.txt of a BERT tokenizer"));
    CHECK(begins("<HTML lang=\"en\">", "an HTML page"));
    CHECK(begins("<?xml version=\"1.0\"?><Error>", "an XML file; perhaps a download that was refused"));
    CHECK(begins("<svg width=\"1\">", "an XML file; perhaps a download that was refused"));
    CHECK(begins("<Error><Code>AccessDenied", "an XML file; perhaps a download that was refused"));
    CHECK(begins("<!DOCTYPE html>", "an HTML page"));
    CHECK(begins("{\\rtf1", "an RTF document"));
    for (const char* const words : {"", "P", "P6", "P9 1", "PK", "BZ", "version 2", "hello", "\x80", "GGU", "\xFF\xD8", "[model]",
                                    "BM25 is a score", "WEBP", "Entry not found", "\x08\x07"})
        CHECK_MESSAGE(kind_of_bytes(words).empty(), words);
}

TEST_CASE("kind_of_bytes: the fewest bytes, and the first and last number, by which each format is recognised") {
    const auto kind = [](const std::string& bytes) { return kind_of_bytes(bytes).substr(0, 14); };
    const auto bytes = [](const char* begin, std::size_t count) { return std::string(begin, count); };
    CHECK(kind("\x80\x02}") == "a Python pickl");  // protocols 2 to 5
    CHECK(kind("\x80\x05}") == "a Python pickl");
    CHECK(kind("\x80\x01}") == "");
    CHECK(kind("\x80\x06}") == "");
    CHECK(kind("\x08\x1F\x12") == "a protocol buf");  // versions up to 31
    CHECK(kind("\x08\x20\x12") == "");
    CHECK(kind(bytes("\0\0\x08\x01", 4)) == "an IDX file");  // types 8 to 14, at least one dimension
    CHECK(kind(bytes("\0\0\x0E\x01", 4)) == "an IDX file");
    CHECK(kind(bytes("\0\0\x07\x01", 4)) == "");
    CHECK(kind(bytes("\0\0\x0F\x01", 4)) == "");
    CHECK(kind(bytes("\0\0\x08\0", 4)) == "");
    CHECK(kind(bytes("\0\0\x08", 3)) == "");
    CHECK(kind(bytes("\x02\0\0\0\0\0\0\0{", 9)) == "a safetensors ");
    CHECK(kind(bytes("\x02\0\0\0\0\0\0\0", 8)) == "");
    CHECK(kind(bytes("\x00\xE1\xF5\x05\0\0\0\0{", 9)) == "a safetensors ");  // a header of 100,000,000 bytes
    CHECK(kind(bytes("\x01\xE1\xF5\x05\0\0\0\0{", 9)) == "");
    CHECK(kind(bytes("a\0b\0c\0d\0", 8)) == "text in UTF-16");
    CHECK(kind(bytes("a\0b\0c\0", 6)) == "");
    std::string first_letters;  // 64 bytes decide, whatever letters follow
    for (int k = 0; k < 32; ++k) first_letters += bytes("a\0", 2);
    CHECK(kind(first_letters + "\x10\x04") == "text in UTF-16");
    CHECK(kind(first_letters.substr(2) + "\x10\x04") == "");
}

TEST_CASE("kind_that_is_no_text: JSON, HTML and merges are text; a git-lfs pointer is not") {
    for (const char* const words : {"{}", "[1]", "<html>", "#version: 0.2", "P6 is how it begins", "words", ""})
        CHECK_MESSAGE(kind_that_is_no_text(words).empty(), words);
    CHECK_FALSE(kind_that_is_no_text("version https://git-lfs.github.com/spec/v1").empty());
    CHECK(looks_like("PK\x05\x06") == "; it looks like an empty zip archive");
    CHECK(looks_like("words").empty());
    CHECK(looks_like("") == "; it is empty");
}

TEST_CASE("kind_that_is_no_merges: names the kind of another file; a first merge of two brackets is still a list of merges") {
    CHECK(kind_that_is_no_merges("{\"a\": 0, \"b\": 1}") == "JSON text");
    CHECK(kind_that_is_no_merges("<!DOCTYPE html>\n").starts_with("an HTML page"));
    CHECK(kind_that_is_no_merges("[PAD]\n[UNK]\n") == "the vocab.txt of a BERT tokenizer");
    for (const char* const words : {"#version: 0.2\nh e\n", "h e\n", "[ ]\n", "{ \"\n", "[ ]</w>\n", ""})
        CHECK_MESSAGE(kind_that_is_no_merges(words).empty(), words);
    CHECK(kind_that_is_no_merges("[ ]</w> \n") == "JSON text");
}

TEST_CASE("read_text_file: drops a byte order mark, refuses binary files") {
    const TemporaryFolder folder;
    CHECK(read_text_file(folder.file("a",
                                     "\xEF\xBB\xBF"
                                     "abc\n")) == "abc\n");
    CHECK(read_text_file(folder.file("b", "abc\n")) == "abc\n");
    const std::string path = folder.file("c", "\x89PNG\r\n\x1A\n...");
    CHECK(error_of([&] { read_text_file(path); }) == path + ": is not text, it looks like a PNG image");
    const std::string zero = folder.file("d", std::string("ab\0c", 4));
    CHECK(error_of([&] { read_text_file(zero); }) == zero + ": is not text, byte 2 is 0; a text file in UTF-8 is needed");
}

TEST_CASE("kind_of_names: one characteristic name is enough, with any prefix, as a whole component") {
    CHECK(kind_of_names({"a", "vit.embeddings.patch_embeddings.projection.weight"}) ==
          "a ViT (vit.embeddings.patch_embeddings.projection.weight)");
    CHECK(kind_of_names({"transformer.wte.weight"}) == "a GPT-2 (transformer.wte.weight)");
    CHECK(kind_of_names({"wte.weight"}) == "a GPT-2 (wte.weight)");
    CHECK(kind_of_names({"bert.embeddings.word_embeddings.weight"}) == "a BERT (bert.embeddings.word_embeddings.weight)");
    // a ViT-MAE also has a ViT's names; it is recognised by names that only it has
    CHECK(kind_of_names({"vit.embeddings.patch_embeddings.projection.weight", "decoder.mask_token"}) ==
          "a ViT-MAE (decoder.mask_token)");
    CHECK(kind_of_names({"notwte.weight", "wte.weight.more"}).empty());
    const std::string long_name = std::string(90, 'x') + ".wte.weight";  // its first 80 bytes are shown
    CHECK(kind_of_names({long_name}) == "a GPT-2 (" + std::string(80, 'x') + ")");
    CHECK(kind_of_names({}).empty());
}

TEST_SUITE_END();
