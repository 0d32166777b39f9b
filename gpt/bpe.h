// bpe.h: byte-level byte pair encoding, GPT-2's tokenizer. Start from the 256 bytes, merge the most frequent neighbours.
//
//   paper    Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2015, arXiv 1508.07909;
//            on bytes: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2
//   shows    that every text can be written with a fixed list of tokens and read back unchanged, without an unknown token
//   words    piece   what the pattern cuts from the text; no token reaches across
//            token   an entry of the vocabulary: some bytes
//            symbol  a byte written as a printable character, the way the published files write it: a space is Ġ
//   differs  merges are found with a queue and a linked list instead of trying all pairs anew after each merge: same tokens,
//            in near-linear time. The textbook versions, ten lines each, are in bpe.cpp too: read them first
//   next     bpe.cpp, then its walkthrough; gpt.h predicts the next token
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/training/progress.h"

namespace bpe {

// ---- From text to pieces ------------------------------------------------------------------------------------------------------

// Cuts a text as GPT-2 does: leftmost match first, the alternatives in this order. The pieces put together are the text.
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   text     UTF-8; a byte that is none counts as a symbol, so that any bytes come back unchanged
//   returns  parts of `text`, valid as long as it is
//   Example: "I'll go  2 km" -> "I" "'ll" " go" " " " 2" " km"
std::vector<std::string_view> split_pieces(std::string_view text);

// ---- Bytes as printable symbols -----------------------------------------------------------------------------------------------

// The character that stands for a byte in vocab.json and merges.txt. The bytes 33-126, 161-172 and 174-255 are the characters
// of these numbers; the other 68, in increasing order, are U+0100, U+0101, ...      Example: space -> U+0120, newline -> U+010A
char32_t symbol_of(unsigned char byte);

// The same for many, as UTF-8, and back.   throws std::invalid_argument for a character that stands for no byte
std::string symbols_of(std::string_view bytes);
std::string bytes_of(std::string_view symbols);

// The bytes in the order in which GPT-2 numbers them: first those that stand for themselves, then the others.
std::array<unsigned char, 256> published_byte_order();

// ---- The vocabulary -----------------------------------------------------------------------------------------------------------

// Wherever the tokens left and right are neighbours, they may become the token `result`.
struct Merge {
    int left, right, result;
};

struct Vocabulary {
    std::vector<std::string> tokens;   // by id: the bytes it stands for
    std::array<int, 256> byte_ids{};   // by byte: the token of this byte alone
    std::vector<Merge> merges;         // by rank: the first is the first to be carried out
    std::vector<int> specials;         // ids of whole words that no text is encoded into, such as <|endoftext|>
    int end_of_text = -1;              // the one named <|endoftext|>; -1 when there is none

    std::unordered_map<std::uint64_t, int> ranks;  // (left << 32 | right) -> index in merges

    int size() const { return static_cast<int>(tokens.size()); }
};

// How the 256 bytes are numbered: published is GPT-2's order, raw is the byte's value.
enum class ByteOrder { published, raw };

// A pair of token ids.
struct Pair {
    int left, right;
};

// The vocabulary that follows from a list of merges: bytes 0-255, the result of merge i is 256 + i, <|endoftext|> is the last.
//   pairs   in terms of these ids
//   throws  std::invalid_argument when a merge uses a token that does not exist before it, or a pair occurs twice
Vocabulary make_vocabulary(const std::vector<Pair>& pairs, ByteOrder order = ByteOrder::published);

// The same from lines "left right" of symbols, as merges.txt has them. A first line "#version..." is skipped.
//   source  what to call them in messages: a path
// A byte order mark in front and blank lines at the end are skipped too.
//   throws  std::invalid_argument "source: line 7: ..." for a line that is not two tokens known before it, or makes one again:
//           its number would be a guess, read_vocabulary knows it
Vocabulary read_merges(std::string_view file_content, std::string_view source);
Vocabulary load_merges(const std::string& path);

// Both published files. The ids come from vocab.json, which must have every byte, every token that the merges make, each number
// from 0 to its size - 1 once, and beyond that only special words in angle brackets, <like this>. Two merges may make the same
// token, which has one id then.
//   throws  std::invalid_argument with the path and what does not agree
Vocabulary read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                           std::string_view merges_source);
Vocabulary load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path);

// The one file of the `tokenizers` library, tokenizer.json, where it holds a byte-level BPE that cuts a text as GPT-2 does: a
// model of type BPE, the pre-tokenizer ByteLevel, no normalizer, nothing put around the text. Its added tokens are the special
// ones, whatever they are called.
//   throws  std::invalid_argument "source: ..." for any other kind of tokenizer, which says what it has instead: the ids of a
//           text would be almost right
Vocabulary read_tokenizer(std::string_view tokenizer_json, std::string_view source);
Vocabulary load_tokenizer(const std::string& path);

// Writes both files.
//   throws  std::invalid_argument when two merges make the same token: vocab.json has one number for each
void save_vocabulary(const Vocabulary& vocabulary, const std::string& vocab_json_path, const std::string& merges_txt_path);

// The id of the token with these bytes, or -1.
int id_of(const Vocabulary& vocabulary, std::string_view bytes);

// ---- From text to ids and back ------------------------------------------------------------------------------------------------

// A text as ids. In every piece the pair of neighbours with the lowest rank is merged, everywhere from left to right, until no
// pair is in the list. "<|endoftext|>" in the text is not special.
//   split   false: the whole text is one piece
std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, bool split = true);

// One piece. The textbook version looks at all neighbours after every merge and is the specification of the other.
std::vector<int> encode_piece_textbook(std::string_view piece, const Vocabulary& vocabulary);
std::vector<int> encode_piece(std::string_view piece, const Vocabulary& vocabulary);

// The same for a piece whose bytes are tokens already: CLIP begins with another token for the last byte.
std::vector<int> merge_tokens(const std::vector<int>& ids, const Vocabulary& vocabulary);

// The bytes of all tokens, put together.   throws std::invalid_argument for an id outside the vocabulary
std::string decode_bytes(const std::vector<int>& ids, const Vocabulary& vocabulary);

// The same as valid UTF-8: a token may hold half a character, and what stays half becomes U+FFFD (see decode_utf8).
std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary);

// ---- Training -----------------------------------------------------------------------------------------------------------------

struct TrainingStep {
    Pair pair;             // what is merged; ids as in ByteOrder::raw
    int result = 0;        // 256 + the number of this step
    int count = 0;         // how many neighbours were this pair ("aaa" counts (a, a) twice)
    int tied_pairs = 0;    // how many pairs had this count, this one included
    int tokens_after = 0;  // length of the text, in tokens
};

struct Training {
    std::vector<TrainingStep> steps;
    std::vector<int> ids;  // the text at the end

    std::vector<Pair> pairs() const;
};

// Learns merges from a text: count all neighbours inside the pieces, merge the most frequent pair everywhere, repeat.
//   merges   how many; fewer when no neighbours are left
//   split    false: the whole text is one piece
//   ties     the pair that comes first in the text as it stands
//   cost     linear in the text's length, and near-linear in that of its different pieces: only the neighbours of what was merged
//            are counted anew
//   progress of `merges` steps, or nullptr
//   Example: make_vocabulary(train(text, 1000).pairs(), ByteOrder::raw), or vocabulary_of for GPT-2's order
// The textbook version counts everything anew before each merge and is the specification of the other.
Training train_textbook(std::string_view text, int merges, bool split = true);
Training train(std::string_view text, int merges, bool split = true, Progress* progress = nullptr);

// The trained merges as a vocabulary in GPT-2's order of bytes, as the published files have it.
Vocabulary vocabulary_of(const Training& training);

}  // namespace bpe
