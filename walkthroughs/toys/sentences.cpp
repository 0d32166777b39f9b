#include "walkthroughs/toys/sentences.h"

#include <set>

namespace {
struct Verb {
    std::string forms[2], object;
};

struct Language {
    std::string subjects[2][6];  // of the first kind, of the second
    Verb verbs[8];
    std::string endings[3];
};
}  // namespace

static const Language languages[2] = {
    {{{"Mother", "Father", "Anna", "Peter", "She", "He"}, {"Children", "Parents", "Friends", "Students", "They", "We"}},
     {{{"washes", "wash"}, "the window"},
      {{"drinks", "drink"}, "cold milk"},
      {{"reads", "read"}, "a book"},
      {{"builds", "build"}, "a house"},
      {{"cooks", "cook"}, "hot soup"},
      {{"sings", "sing"}, "a song"},
      {{"writes", "write"}, "a letter"},
      {{"paints", "paint"}, "the fence"}},
     {"", "today", "at night"}},
    {{{"Папа", "Дедушка", "Брат", "Дядя", "Сосед", "Друг"}, {"Мама", "Бабушка", "Сестра", "Тётя", "Соседка", "Подруга"}},
     {{{"мыл", "мыла"}, "раму"},
      {{"пил", "пила"}, "чай"},
      {{"читал", "читала"}, "книгу"},
      {{"строил", "строила"}, "дом"},
      {{"варил", "варила"}, "суп"},
      {{"пел", "пела"}, "песню"},
      {{"писал", "писала"}, "письмо"},
      {{"красил", "красила"}, "забор"}},
     {"", "утром", "вечером"}}};

std::string Sentence::words() const { return subject + " " + verb + " " + object + (ending.empty() ? "" : " " + ending); }

std::vector<Sentence> all_sentences() {
    std::vector<Sentence> sentences;
    for (int l = 0; l < 2; ++l)
        for (int form = 0; form < 2; ++form)
            for (const std::string& subject : languages[l].subjects[form])
                for (const Verb& verb : languages[l].verbs)
                    for (const std::string& ending : languages[l].endings)
                        sentences.push_back({subject, verb.forms[form], verb.object, ending, l, form});
    return sentences;
}

SplitSentences split_sentences(const std::vector<Sentence>& sentences, Random& random, double test_share) {
    SplitSentences corpus;
    bool for_the_test = false;
    for (std::size_t k = 0; k < sentences.size(); ++k) {
        const Sentence& sentence = sentences[k];
        const bool new_pair =
            k == 0 || sentence.subject != sentences[k - 1].subject || sentence.object != sentences[k - 1].object;
        if (new_pair) for_the_test = random.uniform() < test_share && !(sentence.subject == "Мама" && sentence.object == "раму");
        (for_the_test ? corpus.test : corpus.train).push_back(sentence);
    }
    return corpus;
}

wordpiece::Vocabulary vocabulary_of(const std::vector<std::string>& texts) {
    std::set<std::string> words;
    for (const std::string& text : texts)
        for (const std::string& word : wordpiece::split_words(text, {.lower_case = false})) words.insert(word);
    std::vector<std::string> entries{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    entries.insert(entries.end(), words.begin(), words.end());
    return wordpiece::make_vocabulary(entries);
}

std::vector<int> encode_with_masks(const std::string& text, const wordpiece::Vocabulary& vocabulary,
                                   const wordpiece::Config& config) {
    static const std::string name = "[MASK]";
    std::vector<int> ids{vocabulary.classification};
    std::size_t begin = 0;
    while (true) {
        const std::size_t mask = text.find(name, begin);
        const std::vector<int> pieces = wordpiece::encode(text.substr(begin, mask - begin), vocabulary, config);
        ids.insert(ids.end(), pieces.begin(), pieces.end());
        if (mask == std::string::npos) break;
        ids.push_back(vocabulary.mask);
        begin = mask + name.size();
    }
    ids.push_back(vocabulary.separator);
    return ids;
}

std::vector<int> mask_positions(const std::vector<int>& ids, const wordpiece::Vocabulary& vocabulary) {
    std::vector<int> positions;
    for (std::size_t t = 0; t < ids.size(); ++t)
        if (ids[t] == vocabulary.mask) positions.push_back(static_cast<int>(t));
    return positions;
}
