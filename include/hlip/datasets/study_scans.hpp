// Where the scans of studies come from, for samples that are made of voxels alone.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/tensor/tensor.hpp>

#include <string>

HLIP_BEGIN

/// Where the scans of studies come from, prepared for the network.
class StudyScans {
 public:
  virtual ~StudyScans() = default;
  virtual index_t size() const = 0;  ///< studies
  virtual const std::string& name(index_t study) const = 0;
  virtual std::size_t scans(index_t study) const = 0;
  virtual const std::string& path(index_t study, std::size_t scan) const = 0;
  /// @return (D, H, W)  @throws hlip::error naming file and fault
  virtual Tensor<float, Cpu> load(index_t study, std::size_t scan) const = 0;
};

HLIP_END
