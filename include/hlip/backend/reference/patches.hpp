// Reference patches of volumes.
#pragma once

#include <hlip/backend/patch_lines.hpp>
#include <hlip/backend/reference/loop.hpp>

HLIP_BEGIN

/// Patches of volumes as the rows of a matrix; see PatchArgs.
template <class T> void cut_patches(Reference, const PatchArgs<T>& a) {
  for_each_index(Reference{}, detail::patch_lines(a), detail::CutLine<T, T>{a});
}

HLIP_END
