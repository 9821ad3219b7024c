/*
 * status.c - why the last call of this thread failed
 */
static POOL_THREAD_LOCAL PoolStatus status_last = POOL_OK;

/* Notes the outcome of a call and hands it on. */
static inline PoolStatus status_set(PoolStatus status)
{
    status_last = status;
    return status;
}

PoolStatus pool_last_status(void)
{
    return status_last;
}

const char *pool_status_text(PoolStatus status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text)                                                  \
    case name: return text;
    POOL_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT case POOL_STATUS_MAX_:
        break;
    }
    return "unknown status";
}

unsigned pool_version(void)
{
    return (unsigned)POOL_VERSION_MAJOR << 16 | (unsigned)POOL_VERSION_MINOR << 8 |
           (unsigned)POOL_VERSION_PATCH;
}
