// lesson.h: what nearly every walkthrough includes, compiled once; like standard.h, put in front of each walkthrough by the Makefile.
#pragma once
#include "precompiled/standard.h"

#include "nn/autograd/operations.h"
#include "nn/autograd/rearrange.h"
#include "nn/data/safetensors.h"
#include "nn/data/text.h"
#include "nn/layers/transformer.h"
#include "nn/training/loss.h"
#include "nn/training/optimizer.h"
#include "nn/training/progress.h"
#include "nn/training/schedule.h"
#include "walkthroughs/lesson/lesson.h"

// The functions of these vectors, too, are compiled in instances.cpp.
#define LESSON_INSTANCES(word)                   \
    word template class std::vector<Block>;      \
    word template class std::vector<BlockSteps>; \
    word template class std::vector<Var>;        \
    word template class std::vector<Parameter>;  \
    word template class std::vector<Captioned>;  \
    word template class std::vector<Series>;

LESSON_INSTANCES(extern)
