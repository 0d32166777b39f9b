// instances.cpp: the one place where the functions of the usual strings and vectors are compiled; standard.h and lesson.h say which.
#include "precompiled/lesson.h"

STANDARD_INSTANCES()
LESSON_INSTANCES()
