// clock.h: how long something takes.
//
//   use      const double begin = seconds_now();
//            ...
//            const double took = seconds_now() - begin;
#pragma once

// Seconds since some moment in the past, the same one as long as the program runs; it only moves forward.
double seconds_now();
