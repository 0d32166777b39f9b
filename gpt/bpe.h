// bpe.h: byte-level byte pair encoding (BPE), GPT-2's tokenizer. Start from the 256 bytes, merge the most frequent adjacent pair.
//
//   paper    Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2015, arXiv 1508.07909;
//            on bytes: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2
//   shows    that a fixed vocabulary can encode every text and decode it unchanged, without an unknown token
//   words    piece   a part that the pattern cuts from the text; no token crosses its borders
//            token   an entry of the vocabulary: a string of bytes
//            symbol  a byte written as a printable character, as in the published files: a space is Ġ
//   differs  merges are found with a queue and a linked list instead of rescanning all pairs after each merge: same tokens,
//            in near-linear time. The textbook versions, ten lines each, are in bpe.cpp too: read them first
//   next     bpe.cpp, then its walkthrough; gpt.h predicts the next token
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/training/progress.h"

namespace bpe {

// ---- From text to pieces ------------------------------------------------------------------------------------------------------

// Splits a text as GPT-2 does: leftmost match first, the alternatives in this order. The concatenated pieces are the text.
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   text     UTF-8; an invalid byte counts as [^\s\p{L}\p{N}], so that any bytes round-trip
//   returns  views into `text`
//   Example: "I'll go  2 km" -> "I" "'ll" " go" " " " 2" " km"
std::vector<std::string_view> split_pieces(std::string_view text);

// ---- Bytes as printable symbols -----------------------------------------------------------------------------------------------

// The character that stands for a byte in vocab.json and merges.txt. The bytes 33-126, 161-172 and 174-255 are the characters
// of these numbers; the other 68, in increasing order, are U+0100, U+0101, ...      Example: space -> U+0120, newline -> U+010A
char32_t symbol_of(unsigned char byte);

// The same for a string, as UTF-8, and back.   throws std::invalid_argument for a character that stands for no byte
std::string symbols_of(std::string_view bytes);
std::string bytes_of(std::string_view symbols);

// The bytes in GPT-2's order: first those that stand for themselves, then the others.
std::array<unsigned char, 256> published_byte_order();

// ---- The vocabulary -----------------------------------------------------------------------------------------------------------

// Adjacent tokens left and right may be merged into the token `result`.
struct Merge {
    int left, right, result;
};

struct Vocabulary {
    std::vector<std::string> tokens;  // by id: its bytes; "" where a file leaves a number out, which encoding never produces
    std::array<int, 256> byte_ids{};  // by byte: the id of its single-byte token
    std::vector<Merge> merges;        // by rank: lower ranks are applied first
    std::vector<int> specials;        // ids of special tokens, such as <|endoftext|>, which encoding never produces
    int end_of_text = -1;             // the id of <|endoftext|>; -1: the vocabulary has no such token

    std::unordered_map<std::uint64_t, int> ranks;  // (left << 32 | right) -> index in merges

    int size() const { return static_cast<int>(tokens.size()); }
};

// How the 256 bytes are numbered: published is GPT-2's order, raw is the byte's value.
enum class ByteOrder { published, raw };

// A pair of token ids.
struct Pair {
    int left, right;
};

// The vocabulary of a list of merges: the bytes are 0-255, the result of merge i is 256 + i, <|endoftext|> is last.
//   pairs   in terms of these ids
//   throws  std::invalid_argument when a merge uses a token that does not exist yet, or a pair occurs twice
Vocabulary make_vocabulary(const std::vector<Pair>& pairs, ByteOrder order = ByteOrder::published);

// The same from lines "left right" of symbols, as merges.txt has them. A first line "#version..." is skipped.
// A byte order mark and blank lines at the end are skipped too.
//   source  name used in error messages: a path
//   throws  std::invalid_argument "source: line 7: ..." for a line that is not two tokens known before it, or that makes a token
//           a second time: only vocab.json holds its id, see read_vocabulary
Vocabulary read_merges(std::string_view file_content, std::string_view source);
Vocabulary load_merges(const std::string& path);

// Reads both published files. The ids come from vocab.json, which must contain every byte, every token that the merges make, no id
// twice, and otherwise only special tokens in angle brackets, <like this>, and fairseq's fillers, madeupword0000. Numbers may be
// left out. Two merges may make the same token, which then has one id.
//   throws  std::invalid_argument with the path and the disagreement; load_vocabulary also when a tokenizer_config.json beside
//           vocab.json puts a space or a token before a text
Vocabulary read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                           std::string_view merges_source);
Vocabulary load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path);

// Adds the tokens of an added_tokens.json, {"[PAD]": 50257, ...}: special tokens, whatever they are called, with ids that
// vocab.json leaves free. load_vocabulary reads this file where it lies beside a file vocab.json. A token that has the same id
// already may be repeated.
//   throws  std::invalid_argument "source: ..." for any other id, or a token that would be made of merges
void add_tokens(Vocabulary& vocabulary, std::string_view added_tokens_json, std::string_view source);

// The one file of the `tokenizers` library, tokenizer.json, where it holds a byte-level BPE that cuts a text as GPT-2 does: a
// model of type BPE, the pre-tokenizer ByteLevel, no normalizer, nothing put around the text. Its added tokens are the special
// ones, whatever they are called, and so are names in angle brackets that no merge makes. A model with merges and no type is a
// BPE, as in GPT-2's own file.
//   throws  std::invalid_argument "source: ..." for any other kind of tokenizer, which says what it has instead: the ids of a
//           text would be almost right; load_tokenizer also when a tokenizer_config.json beside tokenizer.json puts a space or a
//           token before a text
Vocabulary read_tokenizer(std::string_view tokenizer_json, std::string_view source);
Vocabulary load_tokenizer(const std::string& path);

// Writes both files.
//   throws  std::invalid_argument when two tokens have the same bytes: vocab.json holds one id per name
void save_vocabulary(const Vocabulary& vocabulary, const std::string& vocab_json_path, const std::string& merges_txt_path);

// The id of the token with these bytes, or -1.
int id_of(const Vocabulary& vocabulary, std::string_view bytes);

// ---- From text to ids and back ------------------------------------------------------------------------------------------------

// Ids of a text. In every piece the adjacent pair with the lowest rank is merged everywhere, from left to right, until no pair
// has a rank. "<|endoftext|>" in the text is not special.
//   split   false: the whole text is one piece
std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, bool split = true);

// Ids of one piece. The textbook version rescans all pairs after every merge and is the specification of the fast one.
std::vector<int> encode_piece_textbook(std::string_view piece, const Vocabulary& vocabulary);
std::vector<int> encode_piece(std::string_view piece, const Vocabulary& vocabulary);

// The same for a piece given as tokens: CLIP starts with a different token for the last byte.
std::vector<int> merge_tokens(std::span<const int> ids, const Vocabulary& vocabulary);

// Refuses a text that holds the name of a special token: published code cuts it out of the text as that token, encode makes
// ordinary tokens of its letters.
//   throws  std::invalid_argument with the name and its id
void require_no_special(std::string_view text, const Vocabulary& vocabulary);

// The concatenated bytes of all tokens.   throws std::invalid_argument for an id outside the vocabulary
std::string decode_bytes(const std::vector<int>& ids, const Vocabulary& vocabulary);

// The same as valid UTF-8: a token may hold part of a character; incomplete characters become U+FFFD (see decode_utf8).
std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary);

// ---- Training -----------------------------------------------------------------------------------------------------------------

struct TrainingStep {
    Pair pair;             // the merged pair; ids as in ByteOrder::raw
    int result = 0;        // 256 + the number of this step
    int count = 0;         // occurrences of the pair before the merge ("aaa" counts (a, a) twice)
    int tied_pairs = 0;    // how many pairs had this count, this one included
    int tokens_after = 0;  // length of the text, in tokens
};

struct Training {
    std::vector<TrainingStep> steps;
    std::vector<int> ids;  // the text after all merges

    std::vector<Pair> pairs() const;
};

// Learns merges from a text: count all adjacent pairs inside the pieces, merge the most frequent one everywhere, repeat.
//   merges   how many; fewer when no pairs are left
//   split    false: the whole text is one piece
//   ties     the pair that occurs first in the current text
//   cost     linear in the text's length, and near-linear in that of its distinct pieces: only pairs beside a merge are recounted
//   progress of `merges` steps, or nullptr
//   Example: make_vocabulary(train(text, 1000).pairs(), ByteOrder::raw), or vocabulary_of for GPT-2's order
// The textbook version recounts everything before each merge and is the specification of the fast one.
Training train_textbook(std::string_view text, int merges, bool split = true);
Training train(std::string_view text, int merges, bool split = true, Progress* progress = nullptr);

// The trained merges as a vocabulary in GPT-2's order of bytes, as the published files have it.
Vocabulary vocabulary_of(const Training& training);

}  // namespace bpe
