// instances.cpp: the one place where the functions of the usual strings and vectors are compiled; standard.h says which they are.
#include "precompiled/standard.h"

STANDARD_INSTANCES()
