// Optional headers come with hlip::full.
#include <hlip/io/json.hpp>
#include <hlip/text/normalise.hpp>
