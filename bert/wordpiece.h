// wordpiece.h: WordPiece, BERT's tokenizer. Words are split greedily into the longest entries of a vocabulary.
//
//   paper    Schuster and Nakajima, "Japanese and Korean Voice Search", ICASSP 2012; Wu et al., 2016, arXiv 1609.08144,
//            section 4.1; as BERT uses it: Devlin et al., 2018, arXiv 1810.04805
//   shows    that a fixed vocabulary of pieces can spell almost every word, and frequent words with one piece
//   symbols  ##  marks a piece that continues a word      [UNK]  a word that the vocabulary cannot spell
//   differs  the longest piece is found in one walk through a trie; the published code tries every length. Same pieces.
//            How BERT's own vocabulary was learned is unpublished; learn_vocabulary follows the usual description.
//   next     wordpiece.cpp, then its walkthrough; mlm.h masks some of the tokens
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/training/progress.h"

namespace wordpiece {

struct Config {
    bool lower_case = true;  // "do_lower_case": lower-case letters and strip accents; false for cased vocabularies
    int longest_word = 200;  // "max_input_chars_per_word", in characters: a longer word becomes [UNK]
};

// The vocabulary; the id of an entry is its line in the file, from 0. Five entries are special tokens, not pieces of text, found
// by name: [PAD] [UNK] [CLS] [SEP] [MASK].
struct Vocabulary {
    std::vector<std::string> entries;  // by id, UTF-8
    int padding = 0;                   // the id of [PAD]
    int unknown = 0;                   // [UNK]
    int classification = 0;            // [CLS]
    int separator = 0;                 // [SEP]
    int mask = 0;                      // [MASK]

    // The trie: nodes are numbers, 0 is the root; an edge leads from (node, next byte) to a node.
    std::unordered_map<std::uint64_t, int> edges;  // key: node * 256 + byte
    std::vector<int> entry_at;                     // by node: the id of the entry that ends there, or -1
    int continuation = 0;                          // the node after "##", where every continuation piece begins

    int size() const { return static_cast<int>(entries.size()); }
    int used() const;  // one more than the largest id that encoding can produce: blank entries at the end do not count
};

// A vocabulary of these entries. An entry that is empty or only white space keeps its id and matches nothing, because no word
// contains white space (published Chinese vocabularies have an entry U+2028). Of equal entries encoding produces the last, as the
// published code does; the others keep their ids (the vocabularies of ConvBERT and ERNIE 3.0 have such).
//   source  name used in error messages: a path
//   throws  std::invalid_argument "source: line 7: ..." for invalid UTF-8, and when a special token is missing
Vocabulary make_vocabulary(const std::vector<std::string>& entries, std::string_view source = "vocabulary");

// Reads the published vocab.txt: one entry per line; blank lines at the end count too, as in the published code. White space
// around an entry and a byte order mark at the start are dropped.
//   throws  as make_vocabulary; load_vocabulary also when an added_tokens.json beside vocab.txt adds tokens, which are not read here
Vocabulary load_vocabulary(const std::string& path);
Vocabulary read_vocabulary(std::string_view file_content, std::string_view source);
void save_vocabulary(const Vocabulary& vocabulary, const std::string& path);

// Compares a configuration with the tokenizer_config.json beside vocab.txt, if there is one.
//   throws  std::invalid_argument with the path when its do_lower_case, strip_accents, tokenize_chinese_chars or
//           do_basic_tokenize would give other ids
void require_same_settings(const std::string& vocabulary_path, const Config& config);

// The id of an entry, or -1.
int id_of(const Vocabulary& vocabulary, std::string_view entry);

// ---- From text to words (the "basic tokenizer"), on characters ----------------------------------------------------------------

// Step 1: drops U+0000, U+FFFD, control and format characters; replaces every white space character by a space.
std::u32string clean(std::u32string_view text);

// Step 2: puts a space on both sides of each CJK ideograph, so that each becomes a word of its own.
std::u32string space_ideographs(std::u32string_view text);
bool is_ideograph(char32_t c);

// Step 3: splits at white space; no empty parts.
std::vector<std::u32string> split_at_spaces(std::u32string_view text);

// Step 4: lower-cases, decomposes letters and accents (NFD), then drops the accents (category Mn).
std::u32string lower_case_without_accents(std::u32string_view word);

// Step 5: makes each punctuation character a word of its own.
//   Punctuation is category P*, and every ASCII character that is not a letter, digit, space or control: also $ + < = > ^ ` | ~
std::vector<std::u32string> split_at_punctuation(std::u32string_view word);
bool is_punctuation(char32_t c);

// Steps 1 to 5.   Example: "Ёлка, naïve!" -> "елка" "," "naive" "!"
std::vector<std::string> split_words(std::string_view text, const Config& config);

// ---- From words to pieces -----------------------------------------------------------------------------------------------------

// The longest entry that begins at byte `begin` of the word; a continuation piece ("##...") when begin > 0.
struct Match {
    int id;           // -1: no entry fits, not even a single character
    std::size_t end;  // the byte after it; `begin` when no entry fits
};
Match longest_match(std::string_view word, std::size_t begin, const Vocabulary& vocabulary);

// Ids of one word, by greedy longest match; [UNK] alone when the pieces do not cover the whole word, or the word is too long.
//   Example: with un, ##aff and ##able "unaffable" -> un ##aff ##able; without ##able -> [UNK] alone
std::vector<int> encode_word(std::string_view word, const Vocabulary& vocabulary, const Config& config);

// Ids of a text. Names of special tokens are ordinary text here: "[CLS]" becomes "[", "cls", "]".
std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, const Config& config);

// The text of the pieces: words separated by spaces, continuation pieces joined to the piece before.
//   What encoding drops (case, accents, the original spacing) is not restored.
//   throws  std::invalid_argument for an id outside the vocabulary
std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary);

// ---- Sequences as BERT reads them ---------------------------------------------------------------------------------------------

struct Sequence {
    std::vector<int> ids;       // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]; then [PAD] up to the length
    std::vector<int> mask;      // 1 for tokens, 0 for padding
    std::vector<int> segments;  // 0 up to and including the first [SEP], then 1; 0 for padding
};

// Joins one or two encoded texts into a padded sequence.
//   b       empty: there is no second text
//   length  of the result. A pair that is too long is truncated one token at a time, at the end of the longer text (of b when
//           equal); a single text is truncated at its end
//   throws  std::invalid_argument when the length has no room for [CLS] and the [SEP]s
Sequence make_sequence(const std::vector<int>& a, const std::vector<int>& b, int length, const Vocabulary& vocabulary);

// ---- Learning a vocabulary ----------------------------------------------------------------------------------------------------

// One merge of two pieces.
struct Joining {
    std::string left, right, joined;  // "h", "##e", "he"
    int together = 0;                 // count(left right): how often they are adjacent inside words
    double score = 0;                 // together / (count(left) count(right))
};

struct Learned {
    std::vector<std::string> entries;  // the five special tokens, the characters in byte order, the merged pieces
    std::vector<Joining> joinings;
};

// Learns at most `size` entries from a text. Every word is split into characters, all but the first marked ##. Then the adjacent
// pair with the highest score count(left right) / (count(left) count(right)) is merged, repeatedly: not the most frequent pair
// (that would be BPE), but the pair whose parts occur least often apart.
//   smallest_count  rarer pairs are not merged: two pieces that occur once each, side by side, would have the highest possible
//                   score
//   ties            the more frequent pair, then the pair that is first in byte order
//   cost            linear in the text's length; then each merge costs the words that contain it and the pairs of its pieces
//   progress        of `size` steps, or nullptr
//   throws          std::invalid_argument when `size` is less than the special tokens and the characters
// The textbook version recounts everything before each merge and is the specification of the fast one.
Learned learn_vocabulary_textbook(std::string_view text, int size, const Config& config, int smallest_count = 2);
Learned learn_vocabulary(std::string_view text, int size, const Config& config, int smallest_count = 2,
                         Progress* progress = nullptr);

}  // namespace wordpiece
