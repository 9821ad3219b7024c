// SPDX-License-Identifier: MIT
// A user's program in C++17, the way one writes it there: owners that give back what they
// hold, and a lambda for the memory that is handed back.
#include <memory_pool.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

namespace
{

struct Destroy {
    void operator()(MemoryPool *pool) const
    {
        pool_destroy(pool);
    }
};
using Pool = std::unique_ptr<MemoryPool, Destroy>;

void require(bool holds, const char *what)
{
    if (!holds) {
        std::cerr << what << ": " << pool_status_text(pool_last_status()) << '\n';
        std::exit(1);
    }
}

std::string read(MemoryPool *pool, std::size_t offset, std::size_t size)
{
    std::string text(size, '?');
    text.resize(pool_read(pool, text.data(), offset, text.size()));
    return text;
}

} // namespace

int main()
{
    PoolOptions options{};
    options.struct_size = sizeof options;
    options.total_size = 4096;
    options.max_block_size = 16;
    const Pool pool{pool_create_with(&options)};
    require(pool != nullptr, "create");

    const std::string text = "across two blocks";
    std::thread writer{[&] {
        require(pool_write(pool.get(), 1020, text.data(), text.size()) == text.size(),
                "write");
    }};
    writer.join();

    const Pool clone{pool_clone(pool.get())};
    require(pool_fill(pool.get(), 1020, '-', 6) == POOL_OK, "fill");
    require(read(pool.get(), 1020, text.size()) == "------ two blocks", "read");
    require(read(clone.get(), 1020, text.size()) == text, "read the clone");

    std::string adopted(64, 'a');
    bool released = false;
    const PoolStatus status = pool_adopt(
        pool.get(), 0, adopted.data(), adopted.size(),
        [](void *, std::size_t, void *context) { *static_cast<bool *>(context) = true; },
        &released);
    require(status == POOL_OK && !released, "adopt");
    require(pool_discard(pool.get(), 0, adopted.size()) == POOL_OK && released,
            "release");
    require(pool_fill(pool.get(), 4096, 0, 1) == POOL_RANGE, "a range that is none");
}
