// wordpiece.h: WordPiece, BERT's tokenizer. Clean the text, split it into words, cover each word with the longest known pieces.
//
//   paper    Schuster and Nakajima, "Japanese and Korean Voice Search", ICASSP 2012; Wu et al., 2016, arXiv 1609.08144,
//            section 4.1; as BERT uses it: Devlin et al., 2018, arXiv 1810.04805
//   shows    that a fixed list of pieces can spell almost every word, frequent words with one piece
//   symbols  ##  in front of a piece that continues a word      [UNK]  a word that no pieces cover
//   differs  the longest piece is found in one walk through a trie, the published code tries every length: same pieces.
//            How BERT's own list was learned is unpublished; learn_vocabulary follows the usual description.
//   next     wordpiece.cpp, then its walkthrough; mlm.h hides some of the pieces
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/training/progress.h"

namespace wordpiece {

struct Config {
    bool lower_case = true;   // "do_lower_case": lower case, and letters without their accents; false for cased vocabularies
    int longest_word = 200;   // "max_input_chars_per_word", in characters: a longer word becomes [UNK] unseen
};

// The list of pieces; a piece's id is its line in the file, from 0. Five entries are no pieces of text and are found by their
// names: [PAD] [UNK] [CLS] [SEP] [MASK].
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
    int continuation = 0;                          // the node behind "##", where every continuation piece begins

    int size() const { return static_cast<int>(entries.size()); }
    int used() const;  // one more than the last id that a text can become: blank entries at the end do not count
};

// A vocabulary of these entries. An entry of nothing but white space, or of nothing, keeps its number and matches nothing: no word
// holds white space (published Chinese lists have an entry U+2028).
//   source  what to call them in messages: a path
//   throws  std::invalid_argument "source: line 7: ..." for an entry that occurs twice, is no UTF-8, or when one of the five names
//           is missing
Vocabulary make_vocabulary(const std::vector<std::string>& entries, std::string_view source = "vocabulary");

// The published vocab.txt: one entry a line, blank ones at the end included, as in the published code. White space around an entry
// is dropped, as is a byte order mark in front of the first.
Vocabulary load_vocabulary(const std::string& path);
Vocabulary read_vocabulary(std::string_view file_content, std::string_view source);
void save_vocabulary(const Vocabulary& vocabulary, const std::string& path);

// The id of an entry, or -1.
int id_of(const Vocabulary& vocabulary, std::string_view entry);

// ---- From text to words (the "basic tokenizer"), on characters ----------------------------------------------------------------

// Step 1: U+0000, U+FFFD, control and format characters are dropped; every space, tab, line end becomes one space.
std::u32string clean(std::u32string_view text);

// Step 2: a space on both sides of each Chinese ideograph (also those of Japanese and Korean): each becomes a word of its own.
std::u32string space_ideographs(std::u32string_view text);
bool is_ideograph(char32_t c);

// Step 3: the parts between white space, none of them empty.
std::vector<std::u32string> split_at_spaces(std::u32string_view text);

// Step 4: lower case, then letters and accents apart, then the accents (class Mn) dropped.
std::u32string lower_case_without_accents(std::u32string_view word);

// Step 5: each punctuation character is a word of its own.
//   Punctuation here is category P*, and every ASCII character that is no letter, digit, space or control: also $ + < = > ^ ` | ~
std::vector<std::u32string> split_at_punctuation(std::u32string_view word);
bool is_punctuation(char32_t c);

// Steps 1 to 5.   Example: "Ёлка, naïve!" -> "елка" "," "naive" "!"
std::vector<std::string> split_words(std::string_view text, const Config& config);

// ---- From words to pieces -----------------------------------------------------------------------------------------------------

// The longest entry that begins at byte `begin` of the word; a continuation piece ("##...") when begin > 0.
struct Match {
    int id;           // -1: no entry fits, not even a single character
    std::size_t end;  // the byte behind it
};
Match longest_match(std::string_view word, std::size_t begin, const Vocabulary& vocabulary);

// One word as ids, longest piece first; the single id of [UNK] when the pieces do not reach its end, or the word is too long.
//   Example: with un, ##aff and ##able "unaffable" -> un ##aff ##able; without ##able -> [UNK], and nothing but [UNK]
std::vector<int> encode_word(std::string_view word, const Vocabulary& vocabulary, const Config& config);

// A text as ids. No name in the text is special: "[CLS]" becomes "[", "cls", "]".
std::vector<int> encode(std::string_view text, const Vocabulary& vocabulary, const Config& config);

// The pieces as text: words with spaces between, continuation pieces joined to what stands before them.
//   What encoding drops (case, accents, where there was a space) does not come back.
//   throws  std::invalid_argument for an id outside the vocabulary
std::string decode(const std::vector<int>& ids, const Vocabulary& vocabulary);

// ---- Sequences as BERT reads them ---------------------------------------------------------------------------------------------

struct Sequence {
    std::vector<int> ids;       // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]; then [PAD] up to the length
    std::vector<int> mask;      // 1 for all of these, 0 for padding
    std::vector<int> segments;  // 0 up to and including the first [SEP], then 1; 0 for padding
};

// Puts one or two encoded texts together.
//   b       empty: there is no second text
//   length  of the result. Too long a pair loses the last piece of the longer text (of b when they are equal) again and again;
//           a single text is cut at its end
//   throws  std::invalid_argument when the length does not hold [CLS] and the [SEP]s
Sequence make_sequence(const std::vector<int>& a, const std::vector<int>& b, int length, const Vocabulary& vocabulary);

// ---- Learning a vocabulary ----------------------------------------------------------------------------------------------------

// One joining of two pieces.
struct Joining {
    std::string left, right, joined;  // "h", "##e", "he"
    int together = 0;                 // count(left right): how often they are neighbours inside words
    double score = 0;                 // together / (count(left) count(right))
};

struct Learned {
    std::vector<std::string> entries;  // the five names, the characters in the order of their bytes, what was joined
    std::vector<Joining> joinings;
};

// Learns at most `size` entries from a text. Every word is cut into characters, all but the first marked ##; then, again and
// again, the neighbours with the highest score count(left right) / (count(left) count(right)) become one piece: not the most
// frequent pair (that would be BPE), but the one whose parts are least often met without each other.
//   smallest_count  pairs that occur less often are left alone, because two pieces that occur once each, together, have the
//                   highest score there is
//   ties            the pair that is more frequent, then the one first in the order of bytes
//   cost            linear in the text's length; after that a joining costs the words that hold it and the neighbours of its pieces
//   progress        of `size` steps, or nullptr
//   throws          std::invalid_argument when `size` does not even hold the five names and the characters
// The textbook version counts everything anew before each joining and is the specification of the other.
Learned learn_vocabulary_textbook(std::string_view text, int size, const Config& config, int smallest_count = 2);
Learned learn_vocabulary(std::string_view text, int size, const Config& config, int smallest_count = 2, Progress* progress = nullptr);

}  // namespace wordpiece
