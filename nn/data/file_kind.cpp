#include "nn/data/file_kind.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "nn/base/require.h"
#include "nn/data/file.h"
#include "nn/data/text.h"

namespace {

struct Signature {
    std::string_view bytes, words;
    std::size_t at = 0;  // where the bytes stand
};

// The end of a tensor name that every checkpoint of a kind has.
struct Telltale {
    std::string_view name, kind;
};

}  // namespace

static constexpr std::string_view lfs_pointer = "version https://git-lfs";

static constexpr std::string_view to_safetensors = "; a checkpoint must be converted to safetensors";
static constexpr std::string_view to_ppm = "; convert it to PPM: magick FILE FILE.ppm";

// Signatures of binary files, the longer before its own beginning. Of checkpoints and images the cure is the same for all.
static constexpr Signature other_kinds[] = {
    {lfs_pointer, "a git-lfs pointer, not the file itself; fetch it: git lfs pull"},
    {"PK\x05\x06", "an empty zip archive"},
    {"\x1F\x8B", "a file compressed with gzip; unpack it first: gunzip -k FILE"},
    {"BZh", "a file compressed with bzip2; unpack it first: bunzip2 -k FILE"},
    {"\xFD"
     "7zXZ",
     "a file compressed with xz; unpack it first: unxz -k FILE"},
    {"\x28\xB5\x2F\xFD", "a file compressed with zstd; unpack it first: unzstd -k FILE"},
    {"\x04\x22\x4D\x18", "a file compressed with lz4; unpack it first: unlz4 -k FILE"},
    {"7z\xBC\xAF\x27\x1C", "a 7z archive; unpack it first: 7z x FILE"},
    {"Rar!\x1A\x07", "a rar archive; unpack it first: unrar x FILE"},
    {"ustar", "a tar archive; unpack it first: tar xf FILE", 257},
    {"\x89PNG\r\n\x1A\n", "a PNG image"},
    {"\x89PNG\n", "a PNG image that a transfer as text has changed; fetch it again as binary data"},
    {"\x89PNG\r\r", "a PNG image that a transfer as text has changed; fetch it again as binary data"},
    {"\x93NUMPY", "a NumPy array (.npy)"},
    {"%PDF-", "a PDF document"},
    {"\xD0\xCF\x11\xE0", "a document of an office program"},
    {"\x7F"
     "ELF",
     "a program"},
    {"SQLite format 3", "an SQLite database"},
    {"PAR1", "a Parquet table"},
    {"ARROW1", "an Arrow table"},
    {"ID3", "a sound file"},
    {"OggS", "a sound file"},
    {"WAVE", "a sound file", 8},
    {"<unk>", "a SentencePiece model", 4},
    {{"\xFF\xFE\0\0", 4}, "text in UTF-32; convert it: iconv -f UTF-32 -t UTF-8 FILE"},
    {"\xFF\xFE", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"},
    {"\xFE\xFF", "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE"},
};
static constexpr Signature checkpoint_kinds[] = {
    {"PK\x03\x04", "a zip archive, as PyTorch's .bin, .pt and .pth and NumPy's .npz are"},
    {"\x89HDF\r\n\x1A\n", "an HDF5 file, as Keras writes them"},
    {"GGUF", "a GGUF file"},
    {"lmgg", "a GGML file"},
    {"tjgg", "a GGML file"},
    {"TFL3", "a TensorFlow Lite file", 4},
};
static constexpr Signature image_kinds[] = {
    {"\xFF\xD8\xFF", "a JPEG image"},
    {"GIF8", "a GIF image"},
    {"WEBP", "a WebP image", 8},
    {{"II*\0", 4}, "a TIFF image"},
    {{"MM\0*", 4}, "a TIFF image"},
    {{"\0\0\0\0", 4}, "a BMP image", 6},  // only after "BM"
    {"ftyp", "a HEIC or AVIF image, or an MP4 video", 4},
    {"JXL ", "a JPEG XL image", 4},
    {"8BPS", "a Photoshop image"},
    {"\x76\x2F\x31\x01", "an OpenEXR image"},
};

// The words of the first signature that the bytes bear, with the cure; "" for none.
template <std::size_t n>
static std::string find_kind(const Signature (&kinds)[n], std::string_view bytes, std::string_view cure) {
    for (const Signature& known : kinds) {
        const bool bears = bytes.size() >= known.at && bytes.substr(known.at).starts_with(known.bytes);
        if (bears && (known.words != "a BMP image" || bytes.starts_with("BM")))
            return std::string(known.words) + std::string(cure);
    }
    return "";
}

static unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

// Formats that are recognised by a few bits of their first bytes.
static std::string checkpoint_of_first_bytes(std::string_view bytes) {
    if (bytes.size() < 3) return "";
    const unsigned first = byte_at(bytes, 0), second = byte_at(bytes, 1);
    // Python pickle, protocols 2 to 5: the byte 0x80, the protocol, then an opcode.
    if (first == 0x80 && second >= 2 && second <= 5) return "a Python pickle, as older PyTorch files are";
    // msgpack: an object of up to 15 members, then the name of the first.
    if (first >> 4 == 8 && second >> 5 == 5) return "a msgpack file, as Flax writes them";
    // Protocol buffer: field 1 is a version, then field 2, a string or an object.
    if (first == 8 && second < 32 && byte_at(bytes, 2) == 0x12) return "a protocol buffer, as ONNX and TensorFlow write them";
    return "";
}

// ASCII in UTF-16 without a byte order mark: every second byte is 0, all others are not.
static std::string utf16_without_mark(std::string_view bytes) {
    const std::size_t count = std::min<std::size_t>(bytes.size(), 64) / 2 * 2;
    for (const std::size_t zero : {std::size_t{0}, std::size_t{1}}) {
        bool fits = count >= 8;
        for (std::size_t k = 0; k < count; ++k) fits = fits && (byte_at(bytes, k) == 0) == (k % 2 == zero);
        if (fits)
            return std::string("text in UTF-16; convert it: iconv -f UTF-16") + (zero == 0 ? "BE" : "LE") + " -t UTF-8 FILE";
    }
    return "";
}

static bool is_image_header(std::string_view bytes) {  // "P6\n", "P5 "
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
    const std::string by_bits = checkpoint_of_first_bytes(bytes);
    for (const std::string& kind : {find_kind(other_kinds, bytes, ""), find_kind(checkpoint_kinds, bytes, to_safetensors),
                                    find_kind(image_kinds, bytes, to_ppm), utf16_without_mark(bytes)})
        if (!kind.empty()) return kind;
    if (!by_bits.empty()) return by_bits + std::string(to_safetensors);
    if (is_safetensors_header(bytes)) return "a safetensors file";
    const bool is_idx = bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[2] <= 14 && bytes[3] >= 1;
    if (is_idx) return "an IDX file";
    return "";
}

// "{", then a name or the end; "[", then a value or the end. Not "[PAD]", which begins a vocabulary, nor "{\rtf1".
static bool begins_as_json(std::string_view begin) {
    const bool is_object = begin.starts_with('{');
    if (!is_object && !begin.starts_with('[')) return false;
    const std::size_t next = begin.find_first_not_of(" \t\r\n", 1);
    const std::string_view may_follow = is_object ? "\"}" : "\"[]{}-0123456789tfn";
    return next == std::string_view::npos || may_follow.find(begin[next]) != std::string_view::npos;
}

std::string kind_of_bytes(std::string_view bytes) {
    const std::string binary = kind_that_is_no_text(bytes);
    if (!binary.empty()) return binary;
    const bool read_here = bytes.size() >= 2 && (bytes[1] == '2' || bytes[1] == '3' || bytes[1] == '5' || bytes[1] == '6');
    if (is_image_header(bytes)) return read_here ? "a PPM or PGM image" : "a PBM or PAM image; convert it: magick FILE FILE.ppm";
    const std::string_view text = without_byte_order_mark(bytes);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    const std::string_view begin = first == std::string_view::npos ? "" : text.substr(first);
    std::string lower(begin.substr(0, 16));
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower.starts_with("<!doctype") || lower.starts_with("<html"))
        return "an HTML page; perhaps a download that asked for a log-in";
    if (lower.starts_with("<?xml") || lower.starts_with("<svg") || lower.starts_with("<error"))
        return "an XML file; perhaps a download that was refused";
    if (begins_as_json(begin)) return "JSON text";
    if (begin.starts_with("#version")) return "the merges.txt of a tokenizer";
    if (begin.starts_with("[PAD]\n") || begin.starts_with("[PAD]\r")) return "the vocab.txt of a BERT tokenizer";
    if (begin.starts_with("#!/")) return "a script";
    if (begin.starts_with("{\\rtf")) return "an RTF document";
    return "";
}

std::string kind_that_is_no_merges(std::string_view bytes) {
    const std::string kind = kind_of_bytes(bytes);
    const std::string_view text = without_byte_order_mark(bytes);
    const bool may_be_first_merge = kind.starts_with("JSON") && text.find('\n') <= std::string_view("[ ]</w>").size();
    return kind.starts_with("the merges.txt") || may_be_first_merge ? "" : kind;
}

std::string looks_like(std::string_view first_bytes) {
    if (first_bytes.empty()) return "; it is empty";
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
    const std::size_t zero = bytes.find('\0');
    require(zero == std::string::npos, path, ": is not text, byte ", zero, " is 0; a text file in UTF-8 is needed");
    return std::string(without_byte_order_mark(bytes));
}
