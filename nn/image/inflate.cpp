#include "nn/image/inflate.h"

#include <algorithm>
#include <array>
#include <vector>

#include "nn/base/require.h"

std::uint32_t adler32(std::string_view bytes) {
    std::uint32_t a = 1, b = 0;
    for (const char byte : bytes) {
        a = (a + static_cast<unsigned char>(byte)) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

// ---- unpacking --------------------------------------------------------------------------------------------------------------

namespace {

// RFC 1951, section 3.1.1: bits are taken from the low end of each byte.
class Bits {
public:
    Bits(std::string_view bytes, std::string_view source) : bytes(bytes), source(source) {}

    int bit() {
        if (count == 0) {
            held = next_byte();
            count = 8;
        }
        const int one = held & 1;
        held >>= 1;
        --count;
        return one;
    }

    // A number of `width` bits, the lowest first.
    int number(int width) {
        int result = 0;
        for (int k = 0; k < width; ++k) result |= bit() << k;
        return result;
    }

    // What is left of the byte that was begun is skipped.
    void to_next_byte() { count = 0; }

    int next_byte() {
        require(at < bytes.size(), source, ": the compressed bytes end in the middle, after ", bytes.size());
        return static_cast<unsigned char>(bytes[at++]);
    }

    std::size_t position() const { return at; }

private:
    std::string_view bytes, source;
    std::size_t at = 0;
    int held = 0, count = 0;  // bits of the byte that was begun
};

// A Huffman code (section 3.2.2), defined by the lengths of its code words: among those of one length the symbols count up.
class Code {
public:
    // lengths  of each symbol's code word, in bits; 0 for a symbol that does not occur
    Code(const std::vector<int>& lengths, std::string_view source) : source(source) {
        for (const int length : lengths) ++counts[length];
        int open = 1;  // words of the length that no shorter word begins
        for (int length = 1; length <= longest; ++length) {
            open = 2 * open - counts[length];
            require(open >= 0, source, ": a Huffman code has more codewords of ", length, " bits than there can be");
        }
        for (int length = 1; length <= longest; ++length)
            for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol)
                if (lengths[symbol] == length) symbols.push_back(static_cast<int>(symbol));
    }

    int read(Bits& bits) const {
        int word = 0, first = 0;         // the bits read so far; the first word of this length
        std::size_t symbols_before = 0;  // symbols with shorter words
        for (int length = 1; length <= longest; ++length) {
            word |= bits.bit();
            const int count = counts[length];
            if (word - first < count) return symbols[symbols_before + static_cast<std::size_t>(word - first)];
            symbols_before += static_cast<std::size_t>(count);
            first = (first + count) << 1;
            word <<= 1;
        }
        fail({source, ": the compressed bytes hold a codeword that is in no Huffman code"});
    }

private:
    static constexpr int longest = 15;
    std::string_view source;
    std::array<int, longest + 1> counts{};  // words of each length; those of length 0 are not read
    std::vector<int> symbols;               // by length, then by number
};

class Inflater {
public:
    Inflater(std::string_view stream, std::size_t most, std::string_view source)
        : stream(stream), source(source), most(most), bits(stream, source) {}

    std::string unpacked() {
        const int method = bits.next_byte(), flags = bits.next_byte();
        require((method & 15) == 8 && method >> 4 <= 7 && (method * 256 + flags) % 31 == 0 && (flags & 32) == 0, source,
                ": the compressed bytes begin with ", method, " ", flags,
                ", which is not a header of a zlib stream without dictionary");
        bool last = false;
        while (!last) {
            last = bits.bit() == 1;
            const int kind = bits.number(2);
            require(kind < 3, source, ": a block of the compressed bytes is of kind 3, there are 0, 1 and 2");
            if (kind == 0) stored_block();
            if (kind == 1) block(fixed_lengths(), std::vector<int>(30, 5));
            if (kind == 2) block_with_its_codes();
        }
        bits.to_next_byte();
        std::uint32_t sum = 0;
        for (int k = 0; k < 4; ++k) sum = sum << 8 | static_cast<std::uint32_t>(bits.next_byte());
        require(sum == adler32(bytes), source, ": the checksum of the unpacked bytes is ", adler32(bytes), ", the file says ",
                sum);
        require(bits.position() == stream.size(), source, ": ", stream.size() - bits.position(),
                " bytes follow the compressed ones");
        return std::move(bytes);
    }

private:
    std::string_view stream, source;
    std::size_t most;
    Bits bits;
    std::string bytes;

    void require_room(std::size_t count) const {
        require(count <= most - bytes.size(), source, ": more than the ", most,
                " bytes that belong there come out of the compressed ones");
    }

    void stored_block() {
        bits.to_next_byte();
        const int low = bits.next_byte(), length = low + 256 * bits.next_byte();
        const int other_low = bits.next_byte(), other = other_low + 256 * bits.next_byte();
        require((length ^ 65535) == other, source, ": a stored block says its length twice, and differently: ", length, ", ",
                other ^ 65535);
        require_room(static_cast<std::size_t>(length));
        for (int k = 0; k < length; ++k) bytes += static_cast<char>(bits.next_byte());
    }

    static std::vector<int> fixed_lengths() {
        std::vector<int> lengths(288, 8);
        std::fill(lengths.begin() + 144, lengths.begin() + 256, 9);
        std::fill(lengths.begin() + 256, lengths.begin() + 280, 7);
        return lengths;
    }

    // Section 3.2.7: the lengths of the two codes, themselves coded.
    void block_with_its_codes() {
        static constexpr int order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
        const int literals = bits.number(5) + 257, distances = bits.number(5) + 1, given = bits.number(4) + 4;
        require(literals <= 286 && distances <= 30, source, ": a block has ", literals, " literals and ", distances,
                " distances, 286 and 30 are the most");
        std::vector<int> of_lengths(19, 0);
        for (int k = 0; k < given; ++k) of_lengths[static_cast<std::size_t>(order[k])] = bits.number(3);
        const Code code(of_lengths, source);
        const std::size_t wanted = static_cast<std::size_t>(literals + distances);
        std::vector<int> lengths;
        while (lengths.size() < wanted) {
            const int symbol = code.read(bits);
            if (symbol < 16) {
                lengths.push_back(symbol);
                continue;
            }
            require(symbol != 16 || !lengths.empty(), source,
                    ": a block's code lengths begin with a repetition, but no length stands before it");
            const int repeated = symbol == 16 ? lengths.back() : 0;
            const int times = symbol == 16 ? 3 + bits.number(2) : symbol == 17 ? 3 + bits.number(3) : 11 + bits.number(7);
            require(static_cast<std::size_t>(times) <= wanted - lengths.size(), source, ": a block gives its codes more than ",
                    wanted, " lengths");
            lengths.insert(lengths.end(), static_cast<std::size_t>(times), repeated);
        }
        require(lengths[256] > 0, source, ": a block has no codeword for its end");
        block({lengths.begin(), lengths.begin() + literals}, {lengths.begin() + literals, lengths.end()});
    }

    // Section 3.2.5: literal bytes, and copies of earlier ones, until the end of the block.
    void block(const std::vector<int>& literal_lengths, const std::vector<int>& distance_lengths) {
        static constexpr int length_base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                              31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
        static constexpr int length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                              2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
        static constexpr int end_of_block = 256, last_length = 285;
        const Code literals(literal_lengths, source), distances(distance_lengths, source);
        while (true) {
            const int symbol = literals.read(bits);
            if (symbol == end_of_block) return;
            if (symbol < end_of_block) {
                require_room(1);
                bytes += static_cast<char>(symbol);
                continue;
            }
            require(symbol <= last_length, source, ": the compressed bytes hold the length number ", symbol, ", 285 is the last");
            const int length = length_base[symbol - 257] + bits.number(length_bits[symbol - 257]);
            const int number = distances.read(bits);  // 0 to 29, a code has no words for more
            // Distances 1, 2, 3, 4, 5-6, 7-8, 9-12, 13-16, ...: each pair of numbers has one more bit than the pair before.
            const int extra = number < 2 ? 0 : number / 2 - 1;
            const int base = number < 2 ? number + 1 : ((2 + (number & 1)) << extra) + 1;
            const std::size_t distance = static_cast<std::size_t>(base + bits.number(extra));
            require(distance <= bytes.size(), source, ": the compressed bytes copy from ", distance, " bytes back, after ",
                    bytes.size());
            require_room(static_cast<std::size_t>(length));
            for (int k = 0; k < length; ++k) bytes += bytes[bytes.size() - distance];  // may overlap itself
        }
    }
};

}  // namespace

std::string zlib_unpacked(std::string_view stream, std::size_t most, std::string_view source) {
    return Inflater(stream, most, source).unpacked();
}

// ---- wrapping ---------------------------------------------------------------------------------------------------------------

std::string zlib_stored(std::string_view bytes) {
    static constexpr std::size_t longest = 65535;  // bytes in a block
    std::string stream = "\x78\x01";               // DEFLATE, window of 32 KB, no dictionary
    std::size_t at = 0;
    do {
        const std::size_t length = std::min(longest, bytes.size() - at);
        const bool last = at + length == bytes.size();
        stream += last ? '\x01' : '\x00';
        for (const std::size_t number : {length, length ^ longest})
            for (const std::size_t part : {number & 255, number >> 8}) stream += static_cast<char>(part);
        stream += bytes.substr(at, length);
        at += length;
    } while (at < bytes.size());
    const std::uint32_t sum = adler32(bytes);
    for (const int shift : {24, 16, 8, 0}) stream += static_cast<char>(sum >> shift & 255);
    return stream;
}
