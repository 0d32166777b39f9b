// standard.h: the standard headers that nearly every file includes. No file includes this one: in the plain build the Makefile
// compiles it once and puts it in front of each file, which saves a third of the compiler's time. The other kinds of build do without
// it, and so show whether a file includes what it uses.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>
