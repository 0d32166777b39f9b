// clip_tokenizer.h: CLIP's tokenizer: byte pair encoding of lower-cased text, with a mark on the last symbol of each word.
//
//   source   the tokenizer of Radford et al. 2021, arXiv 2103.00020, section 2.4; byte pair encoding: see gpt/bpe.h
//   shows    that spaces can be dropped: the mark </w> tells where a word ends, so that "photo" at the end of a word and "photo"
//            inside one are two tokens
//   differs  wrongly decoded text is not repaired first (the published code calls a library for that); of HTML only &lt; &gt; &amp;
//            &quot; &nbsp; and numbered characters are read
//   against  gpt/bpe.h: there a space belongs to the word after it, case counts, and numbers stay together; the merges are the same
//   next     clip_tokenizer.cpp, then clip.h
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "gpt/bpe.h"
#include "nn/text/batch.h"

namespace clip {

// The tokens are the 256 bytes in the order of GPT-2, the same with </w>, one for each merge, <|startoftext|> and <|endoftext|>.
struct Tokenizer {
    bpe::Vocabulary vocabulary;       // a token that ends a word is its bytes and "</w>"
    std::array<int, 256> last_ids{};  // by byte: the token of this byte alone at the end of a word
    int start = -1;                   // <|startoftext|>
    int end = -1;                     // <|endoftext|>, the largest id

    int size() const { return vocabulary.size(); }
};

// The tokenizer of a list of merges, one "left right" per line. A first line with "#version" is skipped.
//   source  the name of the list in messages
//   throws  std::invalid_argument "source: line 7: ..." for a line that is not two tokens known before it
Tokenizer read_merges(std::string_view file_content, std::string_view source);

// From both published files, with the ids of vocab.json.
//   throws  std::invalid_argument with the path and the mismatch
Tokenizer read_vocabulary(std::string_view vocab_json, std::string_view vocab_source, std::string_view merges_txt,
                          std::string_view merges_source);
Tokenizer load_vocabulary(const std::string& vocab_json_path, const std::string& merges_txt_path);

// Normalises a text before encoding: HTML characters replaced (twice: &amp;lt; is <), runs of white space become one blank, none at
// the ends, lower case.
//   Example: "  A &lt;b&gt;\n" -> "a <b>"
std::string clean(std::string_view text);

// Cuts clean text, leftmost match first, the alternatives in this order; blanks are dropped, numbers stand alone.
//   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+
//   Example: "it's 12 km!" -> "it" "'s" "1" "2" "km" "!"
std::vector<std::string> split_words(std::string_view clean_text);

// A text as ids, without start and end.
std::vector<int> encode(std::string_view text, const Tokenizer& tokenizer);

// The text of ids, with a blank after each word. Bytes that are not valid UTF-8 become U+FFFD.
//   throws  std::invalid_argument for an id outside the vocabulary
std::string decode(const std::vector<int>& ids, const Tokenizer& tokenizer);

// What happens to sentences that are too long.
enum class Long { refused, cut };

// Sentences as the model reads them: start, ids, end, padded to `length` tokens.
//   padding  0 in the published code; end-of-text in the tokenizers of Hugging Face
//   throws   std::invalid_argument for a sentence that is too long, unless long ones are cut (their last token is then the end)
TokenBatch make_sentences(const std::vector<std::string>& texts, const Tokenizer& tokenizer, int length, int padding = 0,
                          Long too_long = Long::refused);

}  // namespace clip
