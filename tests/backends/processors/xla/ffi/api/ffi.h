// What the native backend uses of XLA's header, without XLA: a pool of threads.
#pragma once

#include <cstdint>
#include <thread>

namespace xla::ffi {

struct ThreadPool {
  int64_t num_threads() const { return 4; }
  template <class Task>
  void Schedule(Task task) {
    std::thread(task).detach();
  }
};

}  // namespace xla::ffi
