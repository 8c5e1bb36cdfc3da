// Files as bytes: read-only maps, bounded reads, and writes that either happen wholly or not at all (POSIX).
#pragma once

#include <hlip/core/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

HLIP_BEGIN

namespace detail {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  int close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 ? 0 : ::close(fd);
  }

 private:
  int fd_;
};

// O_NONBLOCK, so that a named pipe is refused below and does not hang here.
HLIP_LAZY int open_regular(const std::string& path, std::size_t& size) {
  if (path.find('\0') != std::string::npos) fail_file(path.c_str(), "", "the file name contains a NUL byte");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_file(path, "", "cannot open: {}", std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    const bool folder = S_ISDIR(info.st_mode);
    ::close(fd);
    fail_file(path, "", "{}, expected a regular file", folder ? "is a folder" : "is not a regular file");
  }
  size = static_cast<std::size_t>(info.st_size);
  return fd;
}

}  // namespace detail

/// True when `path` names an existing regular file that can be looked at.
inline bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

/// What may be done with the bytes of a mapped file: nothing but reading, or changing them in this process alone (a page is copied
/// when it is first written; the file stays as it is).
enum class MapAccess { read, copy_on_write };

/// The bytes of a file, mapped for the life of this object. The file must neither shrink nor be written in place meanwhile; replacing it
/// under its name, as AtomicFile does, is fine.
/// @throws hlip::error when the file cannot be opened or is not a regular file
class MappedFile {
 public:
  HLIP_LAZY explicit MappedFile(const std::string& path, MapAccess access = MapAccess::read) : path_(path) {
    detail::Descriptor file(detail::open_regular(path, size_));
    if (size_ == 0) return;
    const bool copy = access == MapAccess::copy_on_write;  // no memory is set aside for copies: most pages never get one
    void* p = ::mmap(nullptr, size_, copy ? PROT_READ | PROT_WRITE : PROT_READ, copy ? MAP_PRIVATE | MAP_NORESERVE : MAP_PRIVATE, file.get(), 0);
    if (p == MAP_FAILED) fail_file(path, "", "cannot map {} bytes: {}", size_, std::strerror(errno));
    data_ = static_cast<const std::byte*>(p);
  }
  MappedFile(MappedFile&& other) noexcept
      : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The bytes of a file, one window after another: fn(window). What was seen is given back, so a file of any length takes no memory.
/// @throws hlip::error when the file cannot be opened or is not a regular file
template <class Fn>
void each_window_of_file(const std::string& path, Fn fn) {
  constexpr std::size_t window = std::size_t{64} << 20;
  const MappedFile file(path);
  for (std::size_t at = 0; at < file.size(); at += window) {
    const auto part = file.bytes().subspan(at, std::min(window, file.size() - at));
    fn(part);
    ::madvise(const_cast<std::byte*>(part.data()), part.size(), MADV_DONTNEED);
  }
}

/// The whole file as a string.
/// @throws hlip::error when it cannot be read or is longer than `max_bytes` (checked before anything is allocated)
HLIP_LAZY std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 30) {
  std::size_t size = 0;
  detail::Descriptor file(detail::open_regular(path, size));
  if (size > max_bytes) fail_file(path, "", "is {} bytes long, the limit is {}", size, max_bytes);
  std::string text(size, '\0');
  std::size_t at = 0;
  while (at < size) {
    const ssize_t n = ::read(file.get(), text.data() + at, size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_file(path, fmt::format("byte {}", at), "cannot read: {}", std::strerror(errno));
    if (n == 0) break;
    at += static_cast<std::size_t>(n);
  }
  text.resize(at);
  return text;
}

/// A file in the making: bytes go to a temporary file beside `path`, and `commit` makes them appear under `path` at once
/// (fsync, rename, fsync of the folder). Without a commit - an exception, a full disk - the temporary file is removed and an
/// older file at `path` is left as it was.
class AtomicFile {
 public:
  HLIP_LAZY explicit AtomicFile(const std::string& path) : path_(path), file_(create(path, temporary_)) {}
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (committed_) return;
    file_.close();
    ::unlink(temporary_.c_str());
  }

  /// Appends bytes. @throws hlip::error when the disk is full
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_file(path_, fmt::format("byte {}", written_), "cannot write: {}", std::strerror(errno));
      written_ += static_cast<std::size_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Makes the file durable and visible. @throws hlip::error and leaves the older file when that fails
  HLIP_LAZY void commit() {
    if (::fsync(file_.get()) != 0) fail_file(path_, "", "cannot flush to disk: {}", std::strerror(errno));
    if (file_.close() != 0) fail_file(path_, "", "cannot close: {}", std::strerror(errno));
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_file(path_, "", "cannot move the new file into place: {}", std::strerror(errno));
    committed_ = true;
    const auto slash = path_.rfind('/');
    sync_folder(slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash));
  }

  /// Makes names created or renamed in `folder` durable. Some network file systems refuse this; then there is nothing more to do.
  HLIP_LAZY static void sync_folder(const std::string& folder) {
    detail::Descriptor d(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (d.get() >= 0 && ::fsync(d.get()) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EBADF)
      fail_file(folder, "", "cannot flush the folder to disk: {}", std::strerror(errno));
  }

 private:
  HLIP_LAZY static int create(const std::string& path, std::string& temporary) {
    static std::atomic<unsigned> counter{0};
    for (;;) {
      temporary = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter++);
      const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd >= 0) return fd;
      if (errno != EEXIST) fail_file(path, "", "cannot create a file beside it: {}", std::strerror(errno));
    }
  }

  std::string path_, temporary_;
  detail::Descriptor file_;
  std::size_t written_ = 0;
  bool committed_ = false;
};

/// Replaces the file at `path` by `text`, wholly or not at all.
HLIP_LAZY void atomic_write(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

/// Replaces the file at `path` by what `fill(AtomicFile&)` writes, wholly or not at all.
template <class Fill>
  requires std::is_invocable_v<Fill, AtomicFile&>
void atomic_write(const std::string& path, Fill&& fill) {
  AtomicFile file(path);
  std::forward<Fill>(fill)(file);
  file.commit();
}

HLIP_END
