// clock.h: measure how long something takes.
//
//   use      const double begin = seconds_now();
//            ...
//            const double took = seconds_now() - begin;
#pragma once

// Seconds since a fixed moment in the past; never decreases.
double seconds_now();
