// bert_golden.h: what the comparisons of bert-* and bert_cls-* share: their metadata, their inputs, the steps of the encoder.
#pragma once
#include "bert/bert.h"
#include "tests/golden.h"

bert::Config bert_config(const Golden& golden);
bert::Batch bert_batch(const Golden& golden);

// Our list under the names of this file: some files call the LayerNorm's weight and bias gamma and beta.
Parameters with_names_of(Parameters parameters, const Golden& golden);

// Every step from the embedding to the pooled output.
void check_encoder(const Golden& golden, const bert::Steps& steps);

// expected.layer.(L-1)
Matrix last_layer(const Golden& golden, const bert::Config& config);
