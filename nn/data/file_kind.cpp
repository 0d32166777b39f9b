#include "nn/data/file_kind.h"

#include <cstdint>
#include <cstring>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace {

struct Signature {
    std::string_view bytes, words;
};

// The end of a tensor name that every checkpoint of a kind has.
struct Telltale {
    std::string_view name, kind;
};

}  // namespace

static constexpr std::string_view lfs_pointer = "version https://git-lfs";

// Signatures of binary files; a signature comes before its own prefixes.
static constexpr Signature binary_kinds[] = {
    {lfs_pointer, "a git-lfs pointer, not the file itself; fetch it: git lfs pull"},
    {"PK\x03\x04",
     "a zip archive, as PyTorch's .bin, .pt and .pth and NumPy's .npz are; a checkpoint must be converted to safetensors"},
    {"PK\x05\x06", "an empty zip archive"},
    {"\x1F\x8B", "a file compressed with gzip; unpack it first: gunzip -k FILE"},
    {"BZh", "a file compressed with bzip2; unpack it first: bunzip2 -k FILE"},
    {"\xFD"
     "7zXZ",
     "a file compressed with xz; unpack it first: unxz -k FILE"},
    {"\x28\xB5\x2F\xFD", "a file compressed with zstd; unpack it first: unzstd -k FILE"},
    {"\x89PNG\r\n\x1A\n", "a PNG picture"},
    {"\xFF\xD8\xFF", "a JPEG picture; convert it to PPM: magick FILE FILE.ppm"},
    {"GIF8", "a GIF picture; convert it to PPM: magick FILE FILE.ppm"},
    {"\x89HDF\r\n\x1A\n", "an HDF5 file, as Keras writes them; a checkpoint must be converted to safetensors"},
    {"\x93NUMPY", "a NumPy array (.npy)"},
    {"GGUF", "a GGUF file; a checkpoint must be converted to safetensors"},
    {"%PDF-", "a PDF document"},
    {"\x7F"
     "ELF",
     "a program"},
    {"\xFF\xFE", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"},
    {"\xFE\xFF", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"},
};

static bool is_picture_header(std::string_view bytes) {  // "P6\n", "P5 "
    return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
           (bytes[2] == ' ' || bytes[2] == '\n' || bytes[2] == '\r' || bytes[2] == '\t' || bytes[2] == '#');
}

// Eight bytes of length, then the brace of a JSON object. The length contains bytes 0, so this is not text.
static bool is_safetensors_header(std::string_view bytes) {
    if (bytes.size() < 9 || bytes[8] != '{') return false;
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    return length <= 100'000'000;
}

std::string kind_that_is_no_text(std::string_view bytes) {
    for (const Signature& known : binary_kinds)
        if (bytes.starts_with(known.bytes)) return std::string(known.words);
    // Python pickle, protocols 2 to 5: the byte 0x80, the protocol, then an opcode.
    if (bytes.size() >= 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5)
        return "a Python pickle, as older PyTorch files are; a checkpoint must be converted to safetensors";
    if (is_safetensors_header(bytes)) return "a safetensors file";
    const bool is_idx = bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[2] <= 14 && bytes[3] >= 1;
    if (is_idx) return "an IDX file";
    return "";
}

std::string kind_of_bytes(std::string_view bytes) {
    const std::string binary = kind_that_is_no_text(bytes);
    if (!binary.empty()) return binary;
    const bool read_here = bytes.size() >= 2 && (bytes[1] == '2' || bytes[1] == '3' || bytes[1] == '5' || bytes[1] == '6');
    if (is_picture_header(bytes))
        return read_here ? "a PPM or PGM picture" : "a PBM or PAM picture; convert it: magick FILE FILE.ppm";
    const std::string_view text = without_byte_order_mark(bytes);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    const std::string_view begin = first == std::string_view::npos ? "" : text.substr(first);
    if (begin.starts_with("<!DOCTYPE") || begin.starts_with("<!doctype") || begin.starts_with("<html"))
        return "an HTML page; perhaps a download that asked for a log-in";
    if (begin.starts_with('{') || begin.starts_with('[')) return "JSON text";
    if (begin.starts_with("#version")) return "the merges.txt of a tokenizer";
    return "";
}

std::string looks_like(std::string_view first_bytes) {
    const std::string kind = kind_of_bytes(first_bytes);
    return kind.empty() ? "" : "; it looks like " + kind;
}

// The first match counts.
static constexpr Telltale telltales[] = {
    {"decoder.mask_token", "a ViT-MAE"},
    {"decoder_pos_embed", "an MAE with timm's names"},
    {"visual.proj", "a CLIP"},
    {"visual_projection.weight", "a CLIP"},
    {"embeddings.patch_embeddings.projection.weight", "a ViT"},
    {"patch_embed.proj.weight", "a ViT with timm's names"},
    {"roberta.embeddings.word_embeddings.weight", "a RoBERTa"},
    {"embeddings.word_embeddings.weight", "a BERT"},
    {"wte.weight", "a GPT-2"},
    {"h.0.attn.c_attn.weight", "a GPT-2"},
    {"tokens_embed.weight", "a GPT"},
    {"word_embeddings_layernorm.weight", "a BLOOM"},
    {"decoder.embed_positions.weight", "an OPT"},
    {"layers.0.self_attn.q_proj.weight", "a LLaMA"},
    {"encoder.block.0.layer.0.SelfAttention.q.weight", "a T5"},
};

// "vit.embeddings.cls_token" ends in the parts "embeddings.cls_token".
static bool ends_in_parts(std::string_view name, std::string_view parts) {
    return name == parts || (name.size() > parts.size() && name.ends_with(parts) && name[name.size() - parts.size() - 1] == '.');
}

std::string kind_of_names(const std::vector<std::string_view>& names) {
    for (const Telltale& telltale : telltales)
        for (const std::string_view name : names)
            if (ends_in_parts(name, telltale.name))
                return std::string(telltale.kind) + " (" + std::string(name.substr(0, 80)) + ")";
    return "";
}

std::string read_text_file(const std::string& path, std::size_t limit) {
    const std::string bytes = read_file(path, limit);
    const std::string other = kind_that_is_no_text(bytes);
    require(other.empty(), path, ": is not text, it looks like ", other);
    return std::string(without_byte_order_mark(bytes));
}
