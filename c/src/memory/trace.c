/* SPDX-License-Identifier: MIT */
/*
 * trace.c - reports to an interpreter's memory profiler which blocks exist (tracemalloc)
 *
 *     allocate, free, under the arena's lock ─► Trace of the call ─► reported without locks
 *
 * The profiler attributes a block to what the interpreter runs at that moment, and needs
 * the GIL, for which nobody may wait with a lock. So a call notes what it allocates and
 * frees, and reports it when it is done. If there is no memory for the notes, the profiler
 * misses these blocks.
 *
 * What two threads do with one block may be reported in the wrong order: then it is missed,
 * or counts until its memory is used again.
 */
#include "memory.h"

/* Notes one event; size 0 stands for a block that was freed. */
static void trace_note(Trace *trace, void *data, size_t size)
{
    if (trace->count == trace->room) {
        size_t room = trace->room == 0 ? 16 : 2 * trace->room;
        TraceEvent *events = (TraceEvent *)memory_alloc(room * sizeof *events);
        if (events == NULL) {
            return;
        }
        if (trace->count > 0) {
            memcpy(events, trace->events, trace->count * sizeof *events);
        }
        platform_free(trace->events);
        trace->events = events;
        trace->room = room;
    }
    trace->events[trace->count].data = data;
    trace->events[trace->count++].size = size;
}

/* Notes the blocks of a list, linked by as.next, but for adopted ones; size 0: they were
 * freed. Context: the caller holds the arena's lock, or owns the blocks. */
static void trace_list(Trace *trace, const Block *block, size_t size)
{
    for (; block != NULL; block = block->as.next) {
        if (!block_is_adopted(block)) {
            trace_note(trace, block->data, size);
        }
    }
}

/* Notes blocks that follow each other. */
static void trace_run(Trace *trace, const Block *first, size_t count, size_t size)
{
    size_t i;
    for (i = 0; i < count; i++) {
        trace_note(trace, first->data + i * size, size);
    }
}

/* Reports what was noted. Context: the caller holds no lock. */
static void trace_report(Trace *trace)
{
    size_t i;
    if (trace->events == NULL) {
        return;
    }
    interpreter_unlock();
    for (i = 0; i < trace->count; i++) {
        const TraceEvent *event = &trace->events[i];
        if (event->size > 0) {
            interpreter.track(event->data, event->size);
        } else {
            interpreter.untrack(event->data);
        }
    }
    platform_free(trace->events);
    memset(trace, 0, sizeof *trace);
}
