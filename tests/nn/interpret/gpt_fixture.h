// gpt_fixture.h: the GPT-2 of a fixture whose metadata are those of the gpt fixtures, for tests that look inside it.
#pragma once
#include "gpt/gpt.h"
#include "tests/golden.h"

struct GptOfFixture {
    gpt::Config config;
    gpt::Weights w;
};
GptOfFixture gpt_of_fixture(const Golden& golden);
