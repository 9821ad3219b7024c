/* SPDX-License-Identifier: MIT */
/* listing.h - the names in a folder, one by one; what a folder that is none has is
 * nothing */
#ifndef LISTING_H
#define LISTING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(_WIN32)
#  include <io.h>

typedef struct Listing {
    intptr_t handle;
    struct _finddata_t found;
} Listing;

static inline const char *listing_next(Listing *listing)
{
    if (_findnext(listing->handle, &listing->found) == 0)
        return listing->found.name;
    _findclose(listing->handle);
    return NULL;
}

static inline const char *listing_first(Listing *listing, const char *folder)
{
    char pattern[1000];
    (void)snprintf(pattern, sizeof pattern, "%s/*", folder);
    listing->handle = _findfirst(pattern, &listing->found);
    return listing->handle != -1 ? listing->found.name : NULL;
}

#else
#  include <dirent.h>

typedef struct Listing {
    DIR *directory;
} Listing;

static inline const char *listing_next(Listing *listing)
{
    struct dirent *entry = readdir(listing->directory);
    if (entry != NULL)
        return entry->d_name;
    closedir(listing->directory);
    return NULL;
}

static inline const char *listing_first(Listing *listing, const char *folder)
{
    listing->directory = opendir(folder);
    return listing->directory != NULL ? listing_next(listing) : NULL;
}
#endif

#endif /* LISTING_H */
