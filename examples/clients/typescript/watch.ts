/**
 * Watch a job in the terminal: `node watch.ts` lists the newest jobs, `node watch.ts JOB` shows one until it is over.
 * Where the output is no terminal, it is a line for each event instead. The environment: FASTTRACK_SERVER,
 * FASTTRACK_TOKEN, FASTTRACK_PROJECT.
 */

import process from "node:process";

import { ApiError, Client } from "./client.ts";
import { JobEvents, JobTasks, Jobs } from "./operations.ts";
import type { JobEventsData, JobTasksData, JobsData } from "./operations.ts";

type Task = JobTasksData["job"]["taskInstances"]["nodes"][number];
type Happening = JobEventsData["events"]["events"][number];

const { FASTTRACK_SERVER: server = "http://127.0.0.1:8811", FASTTRACK_TOKEN: token } = process.env;
const project = process.env["FASTTRACK_PROJECT"] ?? "default";
const client = new Client({ server, token, onRetry: (error) => note(`${error.message}; trying again`) });

const OVER = ["job.succeeded", "job.failed", "job.cancelled"];
const ENDED = ["SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED", "UPSTREAM_FAILED"];

async function jobs(): Promise<JobsData["project"]["jobs"]> {
  return (await client.ask(Jobs, { project })).project.jobs;
}

async function look(job: string): Promise<{ title: string; state: string; tasks: Map<string, Task> }> {
  const { job: first } = await client.ask(JobTasks, { job });
  const tasks = new Map<string, Task>();
  for (let page = first.taskInstances; ; ) {
    for (const task of page.nodes) tasks.set(task.name, task);
    if (!page.pageInfo.hasNextPage) break;
    page = (await client.ask(JobTasks, { job, after: page.pageInfo.endCursor })).job.taskInstances;
  }
  return { title: `${first.pipelineName} #${first.number}`, state: first.state, tasks };
}

/** What an event changes. One that was looked at already changes nothing for good: the last one stands. */
function apply(tasks: Map<string, Task>, event: Happening): void {
  const task = tasks.get(event.task ?? "");
  if (task === undefined) return;
  const { to, reason, attempt } = event.payload as { to?: Task["state"]; reason?: string; attempt?: number };
  const state = to ?? task.state;
  tasks.set(task.name, {
    ...task,
    state,
    attempt: attempt ?? task.attempt,
    reason: reason ?? "",
    startedAt: state === "RUNNING" ? event.at : task.startedAt,
    endedAt: ENDED.includes(state) ? event.at : null,
  });
}

/** First the cursor, then the look, then whatever came after the cursor: so nothing falls between the two. */
async function watch(job: string, cursor: string): Promise<boolean> {
  for (;;) {
    const { title, state, tasks } = await look(job);
    note(`${title} is ${state}`);
    draw(title, tasks);
    if (OVER.includes(`job.${state.toLowerCase()}`)) return state === "SUCCEEDED";
    try {
      for await (const batch of client.follow(JobEvents, { job, after: cursor }, (data) => data.events.cursor)) {
        for (const event of batch.events.events) {
          apply(tasks, event);
          tell(event);
        }
        draw(title, tasks);
        const end = batch.events.events.find((event) => OVER.includes(event.kind));
        if (end !== undefined) return end.kind === "job.succeeded";
      }
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "CURSOR_EXPIRED") throw error;
      note("the cursor is too old; listing again");
      cursor = (await jobs()).feedCursor;
    }
  }
}

function tell(event: Happening): void {
  if (!process.stdout.isTTY) console.log(legible([event.seq, event.kind, event.task ?? ""].join(" ").trim()));
}

let table: { title: string; tasks: Map<string, Task> } = { title: "", tasks: new Map() };
let drawn = 0;

function note(text: string): void {
  if (process.stdout.isTTY) draw(table.title, table.tasks, text);
  else console.error(legible(text));
}

function draw(title: string, tasks: Map<string, Task>, note = ""): void {
  if (!process.stdout.isTTY) return;
  table = { title, tasks };
  const lines = [...tasks.values()].map(({ name, state, attempt, startedAt, endedAt, reason }) => {
    const seconds = startedAt && endedAt ? `${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(1)} s` : "";
    return [name.padEnd(24), state.padEnd(16), String(attempt).padStart(3), seconds.padStart(9), " ", reason].join(" ");
  });
  const { columns, rows } = process.stdout;
  const shown = [title, ...lines.slice(0, rows - 3), note].map((line) => legible(line).slice(0, columns - 1));
  process.stdout.write(`${drawn > 0 ? `\x1b[${drawn}F\x1b[J` : ""}${shown.join("\n")}\n`);
  drawn = shown.length;
}

/** Names and reasons come from others: nothing in them steers this terminal. */
function legible(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

try {
  const { nodes: newest, feedCursor } = await jobs();
  const asked = process.argv[2];
  if (asked === undefined) {
    for (const job of newest) console.log(legible([job.uuid, `${job.pipelineName} #${job.number}`, job.state].join("  ")));
  } else {
    const job = newest.find(({ id, uuid }) => asked === id || asked === uuid)?.id ?? asked;
    process.exitCode = (await watch(job, feedCursor)) ? 0 : 1;
  }
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  console.error(`${error.code}: ${legible(error.message)}`);
  process.exitCode = 2;
}
