// Which paths are DICOM, and what a program built without it says of them. Needs no library.
#pragma once

#include <hlip/io/file.hpp>

#include <sys/stat.h>

#include <string>

HLIP_BEGIN

/// True when `path` names an existing folder.
inline bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// True for a file that begins like DICOM: "DICM" at byte 128, or, as old files do, at once with an
/// element of group 2 or 8.
inline bool is_dicom_file(const std::string& path) {
  if (!is_file(path)) return false;
  const std::string text = read_start(path, 132);
  if (text.size() >= 132 && text.substr(128, 4) == "DICM") return true;
  return text.size() > 16 && (text[0] == '\2' || text[0] == '\10') && text[1] == '\0' &&
         text[3] == '\0';
}

/// True for what is read as DICOM: a folder, or a file that ends in .dcm or begins like one.
inline bool is_dicom(const std::string& path) {
  return is_folder(path) || path.ends_with(".dcm") || is_dicom_file(path);
}

/// What a program without DICOM support says.
[[noreturn]] inline void fail_without_dicom(const std::string& path) {
  fail_file(path, "",
            "is {}, and this program was built without DICOM support (hint: install libdcmtk-dev "
            "and libopenjp2-7-dev, then build again)",
            is_folder(path) ? "a folder" : "a DICOM file");
}

HLIP_END
