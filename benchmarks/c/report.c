/* SPDX-License-Identifier: MIT */
/*
 * report.c - a table for people, JSON for plots
 *
 * Both grow case by case, so that a long run can be watched. The table ends with one line
 * for each row: a row is reached if every goal of it that was measured is.
 */
#include "bench.h"

#include <sys/utsname.h>
#include <unistd.h>

/* The goals of a row so far, by verdict; rows in the order they came. */
typedef struct RowCount {
    const char *row;
    int goals[3];
} RowCount;

static RowCount counts[32];
static int count_count;
static bool first_case = true;

static const char *const verdicts[] = {"reached", "not reached", "not measured"};

/* glibc 2.32 and later has this; in a process of one thread locks cost less, those of a
 * pool and of pthread alike. */
extern char __libc_single_threaded __attribute__((weak));

static bool one_thread(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

/* ----------------------------------------------------------------------- table */

static const char *number(double value)
{
    static char texts[4][32];
    static int next;
    char *text = texts[next++ % 4];
    int digits = fabs(value) < 0.1    ? 5
                 : fabs(value) < 10   ? 2
                 : fabs(value) < 1000 ? 1
                                      : 0;
    snprintf(text, sizeof texts[0], "%.*f", digits, value);
    return text;
}

static void table_contender(const Case *it, const Contender *contender)
{
    double least, most;
    if (contender->missing != NULL) {
        printf("  %-34s not measured: %s\n", contender->name, contender->missing);
        return;
    }
    contender_range(contender, &least, &most);
    printf("  %-34s %10s %10s .. %-10s", contender->name,
           number(contender_median(contender)), number(least), number(most));
    if (contender == &it->contenders[it->reference]) {
        printf("  reference\n");
    } else {
        printf(" %8sx\n",
               number(contender_ratio(contender, &it->contenders[it->reference])));
    }
}

static void goal_words(const Case *it, const Goal *goal, char *words, size_t size)
{
    const char *subject =
        goal->subject == EVERY ? "each" : it->contenders[goal->subject].name;
    const char *sense = goal->at_least ? "at least" : "at most";
    if (goal->against == ITSELF) {
        snprintf(words, size, "%s %s %s %s", subject, sense, number(goal->bound),
                 it->unit);
    } else {
        snprintf(words, size, "%s %s %sx %s", subject, sense, number(goal->bound),
                 it->contenders[goal->against].name);
    }
}

static void table_goal(const Case *it, const Goal *goal)
{
    double value = goal_value(it, goal);
    char words[200];
    goal_words(it, goal, words, sizeof words);
    printf("  goal: %s: %s%s%s\n", words, isnan(value) ? "" : number(value),
           isnan(value) ? "" : ", ", verdicts[goal_verdict(it, goal)]);
}

static void count_goal(const char *row, Verdict verdict)
{
    if (count_count == 0 || strcmp(counts[count_count - 1].row, row) != 0) {
        bench_require(count_count < 32, "room for a row");
        counts[count_count++].row = row;
    }
    counts[count_count - 1].goals[verdict]++;
}

/* ------------------------------------------------------------------------ JSON */

static void json_string(const char *text)
{
    fputc('"', bench_options.json);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', bench_options.json);
        }
        fputc((unsigned char)*text < ' ' ? ' ' : *text, bench_options.json);
    }
    fputc('"', bench_options.json);
}

static void json_text(const char *name, const char *text)
{
    fprintf(bench_options.json, "\"%s\": ", name);
    json_string(text);
    fputs(", ", bench_options.json);
}

/* JSON has no word for what is not a number. */
static void json_number(const char *name, double value, const char *after)
{
    if (isnan(value)) {
        fprintf(bench_options.json, "\"%s\": null%s", name, after);
    } else {
        fprintf(bench_options.json, "\"%s\": %.9g%s", name, value, after);
    }
}

static void json_contender(const Case *it, const Contender *contender)
{
    FILE *json = bench_options.json;
    int round;
    fputs("      {", json);
    json_text("name", contender->name);
    if (contender->scale > 0) {
        json_number("scale", contender->scale, ", ");
    }
    if (contender->missing != NULL) {
        json_text("not_measured", contender->missing);
    }
    json_number("median", contender_median(contender), ", ");
    json_number("ratio", contender_ratio(contender, &it->contenders[it->reference]),
                ", \"values\": [");
    for (round = 0; contender->missing == NULL && round < bench_options.rounds; round++) {
        fprintf(json, "%s%.9g", round > 0 ? ", " : "", contender->values[round]);
    }
    fputs("]}", json);
}

static void json_goal(const Case *it, const Goal *goal)
{
    char words[200];
    goal_words(it, goal, words, sizeof words);
    fputs("      {", bench_options.json);
    json_text("goal", words);
    json_text("verdict", verdicts[goal_verdict(it, goal)]);
    json_number("value", goal_value(it, goal), "}");
}

static void json_case(const Case *it)
{
    FILE *json = bench_options.json;
    int i;
    fprintf(json, "%s\n    {", first_case ? "" : ",");
    json_text("row", it->row);
    json_text("title", it->title);
    json_text("unit", it->unit);
    fprintf(json, "\"one_thread\": %s, ", one_thread() ? "true" : "false");
    json_text("reference", it->contenders[it->reference].name);
    fputs("\"contenders\": [\n", json);
    for (i = 0; i < it->contender_count; i++) {
        json_contender(it, &it->contenders[i]);
        fputs(i + 1 < it->contender_count ? ",\n" : "\n", json);
    }
    fputs("    ], \"goals\": [\n", json);
    for (i = 0; i < it->goal_count; i++) {
        json_goal(it, &it->goals[i]);
        fputs(i + 1 < it->goal_count ? ",\n" : "\n", json);
    }
    fputs("    ]}", json);
}

/* ----------------------------------------------------------------- begin to end */

static double load_average(void)
{
    double load = NAN;
    return getloadavg(&load, 1) == 1 ? load : NAN;
}

/* The first line of the file that begins with key, what stands behind the colon. */
static void first_line(const char *path, const char *key, char *text, size_t size)
{
    char line[256];
    FILE *file = fopen(path, "r");
    snprintf(text, size, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(text, size, "%s", colon + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

void report_begin(void)
{
    struct utsname system;
    char cpu[128];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    bench_require(uname(&system) == 0, "uname");
    first_line("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    printf("%s, %ld processors, %s %s, compiler %s\n", cpu, cpus, system.sysname,
           system.release, __VERSION__);
    printf("%d rounds%s; load %.2f at the start; median, least .. most, ratio\n",
           bench_options.rounds, bench_options.quick ? ", quick" : "", load_average());
    if (bench_options.json != NULL) {
        fputs("{", bench_options.json);
        json_text("processor", cpu);
        json_number("processors", (double)cpus, ", ");
        json_text("kernel", system.release);
        json_text("compiler", __VERSION__);
        json_number("rounds", bench_options.rounds, ", ");
        fprintf(bench_options.json, "\"quick\": %s, ",
                bench_options.quick ? "true" : "false");
        json_number("load_at_start", load_average(), ",\n  \"cases\": [");
    }
}

void report_case(const Case *it)
{
    int i;
    printf("\n%s  %s, %s%s\n", it->row, it->title, it->unit,
           one_thread() ? "; one thread" : "");
    for (i = 0; i < it->contender_count; i++) {
        table_contender(it, &it->contenders[i]);
    }
    for (i = 0; i < it->goal_count; i++) {
        table_goal(it, &it->goals[i]);
        count_goal(it->row, goal_verdict(it, &it->goals[i]));
    }
    fflush(stdout);
    if (bench_options.json != NULL) {
        json_case(it);
    }
    first_case = false;
}

void report_end(void)
{
    int i;
    printf("\nload %.2f at the end\n\nrow   goals reached, not reached, not measured\n",
           load_average());
    for (i = 0; i < count_count; i++) {
        const RowCount *row = &counts[i];
        printf("%-4s  %2d %2d %2d  %s\n", row->row, row->goals[REACHED],
               row->goals[NOT_REACHED], row->goals[NOT_MEASURED],
               row->goals[NOT_REACHED] > 0 ? "not reached"
               : row->goals[REACHED] > 0   ? "reached"
                                           : "not measured");
    }
    if (bench_options.json != NULL) {
        fputs("\n  ], ", bench_options.json);
        json_number("load_at_end", load_average(), "}\n");
        bench_require(fclose(bench_options.json) == 0, "writing the JSON file");
    }
}
