// Work on all threads of XLA's pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

#include "simd.h"
#include "xla/ffi/api/ffi.h"

namespace recurrent {

// Calls take(0), ..., take(count - 1), each once, on the threads of the pool and on this one. This thread works too,
// and never waits for a task that has not begun: if all threads of the pool wait, none would begin.
inline void in_parallel(xla::ffi::ThreadPool pool, int64_t count, const std::function<void(int64_t)>& take) {
  struct Job {
    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable is_done;
    int64_t num_done = 0;
    std::exception_ptr error;
  };
  const auto job = std::make_shared<Job>();
  const auto work = [job, count, &take] {
    for (int64_t number; (number = job->next.fetch_add(1)) < count;) {
      std::exception_ptr error;
      try {
        const FlushDenormals flush;
        take(number);
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(job->mutex);
      if (error) job->error = error;
      if (++job->num_done == count) job->is_done.notify_all();
    }
  };
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  for (int64_t helper = 0; helper < helpers; ++helper) pool.Schedule(std::function<void()>(work));
  work();
  std::unique_lock<std::mutex> lock(job->mutex);
  job->is_done.wait(lock, [&] { return job->num_done == count; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace recurrent
