// inflate.h: the compressed bytes of a PNG image, unpacked; and bytes wrapped so that every reader of such files can unpack them.
//
//   source   zlib format RFC 1950, DEFLATE RFC 1951
//   note     The writer compresses nothing: it writes stored blocks, which are as long as what they hold. The reader knows all three
//            kinds of blocks: stored, with the fixed Huffman codes, and with codes of their own.
//   next     png.h
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

// The checksum of RFC 1950: two sums modulo 65521, of the bytes, and of the first sum after each byte.
std::uint32_t adler32(std::string_view bytes);

// The bytes of a zlib stream.
//   most     no more bytes than that are unpacked, so that a small file cannot fill the memory
//   source   names the stream in messages
//   throws   std::invalid_argument with the source and what is wrong: cut off, more than `most`, a code or a distance that does not
//            exist, another checksum, bytes after the end
std::string zlib_unpacked(std::string_view stream, std::size_t most, std::string_view source);

// A zlib stream of stored blocks; zlib_unpacked gives the bytes back.
std::string zlib_stored(std::string_view bytes);
