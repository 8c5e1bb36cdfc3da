// Files as bytes: read-only maps, bounded reads, and writes that either happen wholly or not at all
// (POSIX). A disk that fails, or a file that is cut while it is read, gives a message here as well,
// in mapped files too.
#pragma once

#include <hlip/core/error.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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
  /// Gives it away, open.
  int release() { return std::exchange(fd_, -1); }
  int close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 ? 0 : ::close(fd);
  }

 private:
  int fd_;
};

// O_NONBLOCK, so that a named pipe is refused below and does not hang here.
HLIP_LAZY int open_regular(const std::string& path, std::size_t& size) {
  if (path.find('\0') != std::string::npos)
    fail_file(path.c_str(), "", "the file name contains a NUL byte");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_file(path, "", "cannot open: {}", std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    const bool folder = S_ISDIR(info.st_mode);
    ::close(fd);
    fail_file(path, "", "{}, expected a regular file",
              folder ? "is a folder" : "is not a regular file");
  }
  size = static_cast<std::size_t>(info.st_size);
  return fd;
}

/// What read() gives of `most` bytes at byte `at`, 0: the file has ended.
HLIP_LAZY std::size_t read_some(int fd, char* to, std::size_t most, const std::string& path,
                                std::size_t at) {
  for (;;) {
    const ssize_t n = ::read(fd, to, most);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR)
      fail_file(path, fmt::format("byte {}", at), "cannot be read: {}", std::strerror(errno));
  }
}

/// The next `size` bytes, or fewer if the file ends.
HLIP_LAZY std::string read_bytes(int fd, std::size_t size, const std::string& path) {
  std::string text(size, '\0');
  std::size_t at = 0;
  while (at < size) {
    const std::size_t n = read_some(fd, text.data() + at, size - at, path, at);
    if (n == 0) break;
    at += n;
  }
  text.resize(at);
  return text;
}

}  // namespace detail

/// True when `path` names an existing regular file that can be looked at.
inline bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

namespace detail {

/// What the system says with SIGBUS - a mapped page cannot be read, because the disk fails or the
/// file was cut - becomes a message. Every mapped file has such an entry in a list that only grows
/// and whose entries are used again, so that a signal handler can walk it. Inside of
/// MappedFile::use a page that is lost becomes zeros, and `use` throws; elsewhere nobody would
/// notice, so the program ends with a message. A SIGBUS in memory of others goes to whoever handled
/// it before.
struct MapGuard {
  std::atomic<bool> taken{true};
  std::atomic<std::uintptr_t> begin{0}, end{0};
  std::atomic<int> uses{0};
  std::atomic<std::size_t> lost{SIZE_MAX};  // the first byte that could not be read
  std::atomic<bool> writable{false};
  std::atomic<char*> path{nullptr};
  MapGuard* next = nullptr;

  HLIP_LAZY static MapGuard* acquire(const void* data, std::size_t size, bool writable,
                                     const std::string& path) {
    static const bool installed = install();
    static_cast<void>(installed);
    MapGuard* guard = head();
    while (guard && guard->taken.exchange(true)) guard = guard->next;
    if (!guard) {
      guard = new MapGuard;
      guard->next = head();
      while (!head().compare_exchange_weak(guard->next, guard)) {}
    }
    guard->lost = SIZE_MAX;
    guard->writable = writable;
    guard->path = ::strdup(path.c_str());
    guard->begin = reinterpret_cast<std::uintptr_t>(data);
    guard->end = guard->begin + size;
    return guard;
  }
  void release() {
    end = 0;
    begin = 0;
    std::free(path.exchange(nullptr));
    taken = false;
  }

 private:
  static std::atomic<MapGuard*>& head() {
    static std::atomic<MapGuard*> first{nullptr};
    return first;
  }
  static struct sigaction& previous() {
    static struct sigaction action {};
    return action;
  }
  static std::uintptr_t& page_size() {
    static std::uintptr_t bytes = 4096;
    return bytes;
  }
  HLIP_LAZY static bool install() {
    head(), previous();  // made here, not in the handler
    page_size() = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, &previous()) == 0;
  }
  HLIP_LAZY static void on_bus_error(int signal, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr),
               page = at / page_size() * page_size();
    for (MapGuard* guard = head(); guard; guard = guard->next) {
      const std::uintptr_t begin = guard->begin, end = guard->end;
      if (at < begin || at >= end) continue;
      if (guard->uses == 0) say_and_end(guard->path);
      const std::size_t lost = page - begin;
      for (std::size_t before = guard->lost;
           lost < before && !guard->lost.compare_exchange_weak(before, lost);) {}
      if (::mmap(reinterpret_cast<void*>(page), end - page,
                 guard->writable ? PROT_READ | PROT_WRITE : PROT_READ,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        return;
      say_and_end(guard->path);
    }
    if (previous().sa_flags & SA_SIGINFO) return previous().sa_sigaction(signal, info, context);
    if (previous().sa_handler != SIG_DFL && previous().sa_handler != SIG_IGN)
      return previous().sa_handler(signal);
    ::signal(signal, SIG_DFL);  // and come here no more: the access is tried again
  }
  [[noreturn]] static void say_and_end(const char* path) {
    const auto say = [](const char* text) {
      [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
    };
    say(path ? path : "a mapped file");
    say(": cannot be read any more: the disk fails, or the file was cut while it was in use\n");
    ::_exit(1);
  }
};

}  // namespace detail

/// What may be done with the bytes of a mapped file: nothing but reading, or changing them in this
/// process alone (a page is copied when it is first written; the file stays as it is).
enum class MapAccess { read, copy_on_write };

/// The bytes of a file, mapped for the life of this object. The file should neither shrink nor be
/// written in place meanwhile; replacing it under its name, as AtomicFile does, is fine. What is
/// made of the bytes is made in `use`, which tells bytes that are gone.
/// @throws hlip::error when the file cannot be opened or is not a regular file
class MappedFile {
 public:
  HLIP_LAZY explicit MappedFile(const std::string& path, MapAccess access = MapAccess::read)
      : path_(path) {
    const detail::Descriptor file(detail::open_regular(path, size_));
    if (size_ == 0) return;
    if (::fstat(file.get(), &opened_) != 0)
      fail_file(path, "", "cannot look at it: {}", std::strerror(errno));
    // No memory is set aside for copies: most pages never get one
    const bool copy = access == MapAccess::copy_on_write;
    void* p = ::mmap(nullptr, size_, copy ? PROT_READ | PROT_WRITE : PROT_READ,
                     copy ? MAP_PRIVATE | MAP_NORESERVE : MAP_PRIVATE, file.get(), 0);
    if (p == MAP_FAILED)
      fail_file(path, "", "cannot map {} bytes: {}", size_, std::strerror(errno));
    data_ = static_cast<const std::byte*>(p);
    guard_ = detail::MapGuard::acquire(data_, size_, copy, path_);
  }
  MappedFile(MappedFile&& other) noexcept
      : path_(std::move(other.path_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        opened_(other.opened_),
        guard_(std::exchange(other.guard_, nullptr)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(opened_, other.opened_);
    std::swap(guard_, other.guard_);
    return *this;
  }
  ~MappedFile() {
    if (guard_) guard_->release();
    if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }

  /// fn(), which reads the bytes: what it returns, or throws, counts only if all that it read was
  /// there.
  /// @throws hlip::error naming the first byte that is gone. Elsewhere a page that cannot be read
  /// ends the program, with a message
  template <class Fn> decltype(auto) use(Fn&& fn) const {
    struct Use {
      const MappedFile& file;
      explicit Use(const MappedFile& f) : file(f) {
        if (file.guard_) ++file.guard_->uses;
      }
      ~Use() {
        if (file.guard_) --file.guard_->uses;
      }
    } use(*this);
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Fn>>) {
        fn();
        expect_readable();
      } else {
        decltype(auto) result = fn();
        expect_readable();
        return result;
      }
    } catch (const error&) {
      expect_readable();  // the truer message
      throw;
    }
  }

 private:
  HLIP_LAZY void expect_readable() const {
    struct stat now {};  // what is cut off a page gives zeros and no signal
    if (guard_ && ::stat(path_.c_str(), &now) == 0 && now.st_ino == opened_.st_ino &&
        now.st_dev == opened_.st_dev && static_cast<std::size_t>(now.st_size) < size_)
      fail_file(path_, fmt::format("byte {}", now.st_size),
                "the file, of {} bytes when it was opened, was cut here while it was read", size_);
    if (guard_ && guard_->lost != SIZE_MAX)
      fail_file(path_, fmt::format("byte {}", guard_->lost.load()), "cannot be read: {}",
                std::strerror(EIO));
  }

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  struct stat opened_ {};
  detail::MapGuard* guard_ = nullptr;
};

/// The bytes of a file, one window after another: fn(window). They are read, not mapped, and a file
/// of any length takes a small buffer.
/// @throws hlip::error when the file cannot be opened, is not a regular file, or cannot be read to
/// its end
template <class Fn> void each_window_of_file(const std::string& path, Fn fn) {
  std::size_t size = 0, at = 0;
  detail::Descriptor file(detail::open_regular(path, size));
  std::string window(std::size_t{256} << 10, '\0');
  while (
      const std::size_t n = detail::read_some(file.get(), window.data(), window.size(), path, at)) {
    fn(std::as_bytes(std::span(window.data(), n)));
    at += n;
  }
  if (at < size)
    fail_file(path, fmt::format("byte {}", at),
              "the file, of {} bytes when it was opened, was cut here while it was read", size);
}

/// The first bytes of a file, at most `most`.
/// @throws hlip::error when they cannot be read
HLIP_LAZY std::string read_start(const std::string& path, std::size_t most) {
  std::size_t size = 0;
  const detail::Descriptor file(detail::open_regular(path, size));
  return detail::read_bytes(file.get(), std::min(most, size), path);
}

/// The whole file as a string.
/// @throws hlip::error when it cannot be read or is longer than `max_bytes` (checked before
/// anything is allocated)
HLIP_LAZY std::string read_file(const std::string& path,
                                std::size_t max_bytes = std::size_t{1} << 30) {
  std::size_t size = 0;
  const detail::Descriptor file(detail::open_regular(path, size));
  if (size > max_bytes) fail_file(path, "", "is {} bytes long, the limit is {}", size, max_bytes);
  return detail::read_bytes(file.get(), size, path);
}

/// The bytes of a file, read into memory: for files that are used wholly and once.
/// @throws hlip::error when the file cannot be opened, is not a regular file, or cannot be read
class LoadedFile {
 public:
  HLIP_LAZY explicit LoadedFile(const std::string& path) : bytes_(read_file(path, SIZE_MAX)) {}
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }
  std::string_view text() const { return bytes_; }

 private:
  std::string bytes_;
};

/// A file in the making: bytes go to a temporary file beside `path`, and `commit` makes them appear
/// under `path` at once (fsync, rename, fsync of the folder). Without a commit - an exception, a
/// full disk - the temporary file is removed and an older file at `path` is left as it was.
class AtomicFile {
 public:
  HLIP_LAZY explicit AtomicFile(const std::string& path)
      : path_(path), file_(create(path, temporary_)) {}
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
      if (n < 0)
        fail_file(path_, fmt::format("byte {}", written_), "cannot write: {}",
                  std::strerror(errno));
      written_ += static_cast<std::size_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Makes the file durable and visible. @throws hlip::error and leaves the older file when that
  /// fails
  HLIP_LAZY void commit() {
    if (::fsync(file_.get()) != 0)
      fail_file(path_, "", "cannot flush to disk: {}", std::strerror(errno));
    if (file_.close() != 0) fail_file(path_, "", "cannot close: {}", std::strerror(errno));
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      fail_file(path_, "", "cannot move the new file into place: {}", std::strerror(errno));
    committed_ = true;
    const auto slash = path_.rfind('/');
    sync_folder(slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash));
  }

  /// Makes names created or renamed in `folder` durable. Some network file systems refuse this;
  /// then there is nothing more to do.
  HLIP_LAZY static void sync_folder(const std::string& folder) {
    detail::Descriptor d(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (d.get() >= 0 && ::fsync(d.get()) != 0 && errno != EINVAL && errno != ENOTSUP &&
        errno != EBADF)
      fail_file(folder, "", "cannot flush the folder to disk: {}", std::strerror(errno));
  }

 private:
  HLIP_LAZY static int create(const std::string& path, std::string& temporary) {
    static std::atomic<unsigned> counter{0};
    for (;;) {
      temporary = fmt::format("{}.tmp-{}-{}", path, ::getpid(), counter++);
      const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd >= 0) return fd;
      if (errno != EEXIST)
        fail_file(path, "", "cannot create a file beside it: {}", std::strerror(errno));
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
