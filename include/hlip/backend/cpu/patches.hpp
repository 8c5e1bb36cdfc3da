// Patches of volumes: threads take lines of a patch.
#pragma once

#include <hlip/backend/cpu/loop.hpp>
#include <hlip/backend/patch_lines.hpp>

HLIP_BEGIN

/// Patches of volumes as the rows of a matrix; see PatchArgs.
template <class T> void cut_patches(Cpu, const PatchArgs<T>& a) {
  for_each_index(Cpu{}, detail::patch_lines(a), detail::CutLine<T, T>{a});
}

HLIP_END
