/* SPDX-License-Identifier: MIT */
/* image.c - see image.h */
#define _GNU_SOURCE /* SEEK_DATA, SEEK_HOLE */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "format.h"

static struct {
    int file;
    unsigned char *data;
    size_t size;
} image;

/* ------------------------------------------------------------------------- load */

static int failed(const char *path)
{
    nbdkit_error("image: %s: %m", path);
    return -1;
}

/* Opens a file or a block device, which can be mapped. */
static int open_mappable(const char *path)
{
    struct stat facts;
    int file;
    if (stat(path, &facts) != 0) {
        return failed(path);
    }
    if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode)) {
        nbdkit_error("image: %s: neither a file nor a block device", path);
        return -1;
    }
    file = open(path, O_RDONLY | O_CLOEXEC);
    return file < 0 ? failed(path) : file;
}

/* Checks that an image is not of a format that must be converted first. */
static int check_raw(const char *path, int file)
{
    unsigned char start[FORMAT_BYTES];
    ssize_t count = pread(file, start, sizeof start, 0);
    if (count < 0) {
        return failed(path);
    }
    const Format *format = format_of(start, (size_t)count);
    if (format == NULL) {
        return 0;
    }
    nbdkit_error("image: %s: this is %s, not a raw image; convert it (%s), or serve it "
                 "as it is by format=raw",
                 path, format->title, format->convert);
    return -1;
}

int64_t image_open(const char *path, bool raw)
{
    void *data;
    int file = open_mappable(path);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (file < 0) {
        return -1;
    }
    if (size == 0) {
        nbdkit_error("image: %s: the image is empty", path);
        close(file);
        return -1;
    }
    if (!raw && check_raw(path, file) != 0) {
        close(file);
        return -1;
    }
    data = size < 0 || (uint64_t)size > SIZE_MAX
               ? MAP_FAILED
               : mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file, 0);
    if (data == MAP_FAILED) {
        failed(path);
        close(file);
        return -1;
    }
    image.file = file;
    image.data = data;
    image.size = (size_t)size;
    return size;
}

/* Finds the next run of data of the image from *start on; false if there is none. */
static bool next_run(size_t *start, size_t *end)
{
    off_t data = lseek(image.file, (off_t)*start, SEEK_DATA);
    if (data < 0) { /* ENXIO: a hole up to the end; otherwise not known: all is data */
        *end = image.size;
        return errno != ENXIO && *start < image.size;
    }
    off_t hole = lseek(image.file, data, SEEK_HOLE);
    *start = (size_t)data;
    /* The file may have grown; if it was truncated, the rest cannot be read. */
    *end = hole < 0 || (size_t)hole > image.size ? image.size : (size_t)hole;
    return *start < *end;
}

int image_adopt(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    size_t start = 0, end;
    pool_stats(pool, &stats);
    /* Runs are extended to whole blocks, because parts of blocks would be copied. */
    while (start < image.size && next_run(&start, &end)) {
        size_t mask = stats.block_size - 1;
        start &= ~mask;
        end = image.size - end > mask ? (end + mask) & ~mask : image.size;
        PoolStatus status =
            pool_adopt(pool, start, image.data + start, end - start, NULL, NULL);
        if (status != POOL_OK) {
            nbdkit_error("image: %s", pool_status_text(status));
            return -1;
        }
        start = end;
    }
    return 0;
}

/* ------------------------------------------------------------------------- save */

static const char NOT_REGULAR[] = "not a regular file";

/* A file that is to replace another one. If the system allows, it has no name until it is
 * complete, so that nothing is left of it if nbdkit is killed. */
typedef struct NewFile {
    int file;
    char *name; /* a temporary one in the target's folder; NULL: it has none */
} NewFile;

/* Returns the path of a name in the folder of path, to be freed; NULL with errno. */
static char *name_beside(const char *path, const char *name)
{
    char *copy = strdup(path), *made = NULL;
    if (copy != NULL && asprintf(&made, "%s/%s", dirname(copy), name) < 0) {
        made = NULL;
    }
    free(copy);
    return made;
}

/* The path by which the system knows an open file. */
typedef struct FilePath {
    char text[40];
} FilePath;

static FilePath path_of(int file)
{
    FilePath path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", file);
    return path;
}

/* Opens a file without a name in the folder of path, which can get one later; -1 if the
 * system or the file system has no such files. */
static int open_unnamed(const char *path)
{
    int file = -1;
#ifdef O_TMPFILE
    char *folder = name_beside(path, ".");
    if (folder != NULL) {
        file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    }
    free(folder);
    if (file >= 0 && access(path_of(file).text, F_OK) != 0) { /* there is no /proc */
        close(file);
        file = -1;
    }
#else
    (void)path;
#endif
    return file;
}

/* Opens a new file in the folder of path. Returns 0, or -1 with errno. */
static int new_open(NewFile *made, const char *path)
{
    made->name = NULL;
    made->file = open_unnamed(path);
    if (made->file >= 0) {
        return 0;
    }
    made->name = name_beside(path, ".nbdkit-mempool-XXXXXX");
    if (made->name != NULL && (made->file = mkostemp(made->name, O_CLOEXEC)) < 0) {
        int error = errno;
        free(made->name);
        made->name = NULL;
        errno = error;
    }
    return made->file < 0 ? -1 : 0;
}

/* Closes the file, and removes it if it did not replace another one. */
static void new_close(NewFile *made)
{
    if (made->file >= 0) {
        close(made->file); /* after fsync, so that there is nothing left to fail */
    }
    if (made->name != NULL) {
        unlink(made->name);
    }
    free(made->name);
}

/* Gives a file without a name a new temporary name in the folder of path. */
static int new_name(NewFile *made, const char *path)
{
    unsigned number = 0;
    char text[64];
    do {
        free(made->name);
        snprintf(text, sizeof text, ".nbdkit-mempool-%ld-%u", (long)getpid(), number++);
        made->name = name_beside(path, text);
        if (made->name == NULL) {
            return -1;
        }
        if (linkat(AT_FDCWD, path_of(made->file).text, AT_FDCWD, made->name,
                   AT_SYMLINK_FOLLOW) == 0) {
            return 0;
        }
    } while (errno == EEXIST);
    int error = errno;
    free(made->name);
    made->name = NULL;
    errno = error;
    return -1;
}

/* Renames the file to path, atomically. A file without a name can get only a name that
 * does not exist; if path exists, it gets a temporary name first, for an instant. Returns
 * 0, or -1 with errno. */
static int new_take_place(NewFile *made, const char *path)
{
    if (made->name == NULL) {
        if (linkat(AT_FDCWD, path_of(made->file).text, AT_FDCWD, path,
                   AT_SYMLINK_FOLLOW) == 0) {
            return 0;
        }
        if (errno != EEXIST || new_name(made, path) != 0) {
            return -1;
        }
    }
    if (rename(made->name, path) != 0) {
        return -1;
    }
    free(made->name);
    made->name = NULL;
    return 0;
}

/* Writes the folder of path to disk. If that fails, the new file is nevertheless complete
 * and in its place, but a crash of the system may bring back the old one. */
static void sync_folder(const char *path)
{
    char *folder = name_beside(path, ".");
    int file = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        (void)fsync(file);
        close(file);
    }
    free(folder);
}

/* Returns the path without symbolic links, to be freed, so that a link to a file is not
 * replaced; NULL with errno. */
static char *real_target(const char *path)
{
    char *target = realpath(path, NULL);
    return target != NULL || errno != ENOENT ? target : strdup(path);
}

/* Whether a path names a regular file, or nothing: a rename would replace a device. */
static bool may_replace(const char *path)
{
    struct stat facts;
    return stat(path, &facts) != 0 || S_ISREG(facts.st_mode);
}

int image_check_target(const char *path, int64_t size)
{
    NewFile made = {-1, NULL};
    char *target = real_target(path);
    int result = -1;
    if (target != NULL && !may_replace(target)) {
        nbdkit_error("save: %s: %s", path, NOT_REGULAR);
    } else if (target == NULL || new_open(&made, target) != 0 ||
               ftruncate(made.file, size) != 0) {
        nbdkit_error("save: %s: %m", path);
    } else {
        result = 0;
    }
    new_close(&made);
    free(target);
    return result;
}

/* Writes all of size bytes, also if pwrite writes fewer. Returns 0, or -1 with errno. */
static int write_all(int file, const unsigned char *data, size_t size, size_t offset)
{
    while (size > 0) {
        ssize_t count = pwrite(file, data, size, (off_t)offset);
        if (count < 0 && errno != EINTR) {
            return -1;
        }
        size_t done = count < 0 ? 0 : (size_t)count;
        data += done;
        size -= done;
        offset += done;
    }
    return 0;
}

/* Writes a run of data, block by block, by views. Returns 0, or -1 with errno. */
static int write_run(MemoryPool *pool, int file, size_t start, size_t size)
{
    while (size > 0) {
        PoolView view = {.struct_size = sizeof view};
        if (pool_view(pool, start, size, &view) != POOL_OK) {
            errno = ENOMEM;
            return -1;
        }
        int result = write_all(file, view.data, view.size, start);
        start += view.size;
        size -= view.size;
        pool_view_release(&view);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

/* Sets the size and contents of a file, and syncs it to disk. Returns 0, or -1 with
 * errno. */
static int write_image(MemoryPool *pool, int file)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    size_t at = 0, start, size;
    pool_stats(pool, &stats);
    if (ftruncate(file, (off_t)stats.total_size) != 0) {
        return -1;
    }
    for (; pool_next_extent(pool, at, SIZE_MAX, &start, &size) == 1; at = start + size) {
        if (write_run(pool, file, start, size) != 0) {
            return -1;
        }
    }
    return fsync(file);
}

/* Sets the permissions of a file to those of the file at path, or of a new file. Returns
 * 0, or -1 with errno. */
static int set_mode(int file, const char *path)
{
    struct stat facts;
    mode_t mask;
    if (stat(path, &facts) == 0) {
        return fchmod(file, facts.st_mode & 0777);
    }
    if (errno != ENOENT) {
        return -1; /* the permissions of the old file are not known */
    }
    mask = umask(0);
    umask(mask);
    return fchmod(file, 0666 & ~mask);
}

/* Saves a pool that no other thread changes to a path without symbolic links. Returns 0,
 * or -1 with errno. */
static int save_still(MemoryPool *pool, const char *target)
{
    NewFile made = {-1, NULL};
    int result = -1;
    if (new_open(&made, target) == 0 && set_mode(made.file, target) == 0 &&
        write_image(pool, made.file) == 0 && new_take_place(&made, target) == 0) {
        sync_folder(target);
        result = 0;
    }
    int error = errno;
    new_close(&made);
    errno = error;
    return result;
}

const char *image_save(MemoryPool *pool, const char *path)
{
    const char *error = NULL;
    char *target = real_target(path);
    MemoryPool *still = pool_clone(pool);
    if (target == NULL) {
        error = strerror(errno);
    } else if (still == NULL) {
        error = strerror(ENOMEM);
    } else if (!may_replace(target)) {
        error = NOT_REGULAR;
    } else if (save_still(still, target) != 0) {
        error = strerror(errno);
    }
    pool_destroy(still);
    free(target);
    return error;
}
