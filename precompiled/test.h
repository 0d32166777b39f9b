// test.h: what every test includes, compiled once; like standard.h, put in front of each test by the Makefile.
#pragma once
#include "precompiled/standard.h"
#include "tests/test.h"
