// Written by `make clients` from schema.graphql and operations.graphql: do not edit.

import type { Operation } from "./client.ts";

/** Where a job stands. The first four may change; the last three are final. */
export type JobState =
  | "CANCELLED"
  | "CANCELLING"
  | "FAILED"
  | "PAUSED"
  | "PENDING"
  | "RUNNING"
  | "SUCCEEDED";

/** Where one task of one job stands. The last five are final. */
export type TaskInstanceState =
  | "CANCELLED"
  | "FAILED"
  | "PENDING"
  | "PREPARING"
  | "QUEUED"
  | "READY"
  | "RUNNING"
  | "SKIPPED"
  | "STARTING"
  | "STOPPING"
  | "SUCCEEDED"
  | "UPSTREAM_FAILED";

export interface JobsVariables {
  project: string;
}

export interface JobsData {
  /** A project by its global id or by its name; an error with the code NOT_FOUND if there is none. */
  project: {
    /** Its jobs, the newest first. */
    jobs: {
      /** The items, without cursors. */
      nodes: {
        /** Its global id: opaque, never changes, at most 64 characters. */
        id: string;
        /** Its UUID, as the command line and REST use it. */
        uuid: string;
        /** Its running number in its pipeline, from 1. */
        number: number;
        /** The name of its pipeline. */
        pipelineName: string;
        /** Where it stands. */
        state: JobState;
      }[];
      /** Follow the events after this cursor: nothing that the page does not show yet is missed. */
      feedCursor: string;
    };
  };
}

export const Jobs: Operation<JobsVariables, JobsData> = {
  text: `query Jobs($project: String!) {
  project(name: $project) {
    jobs(first: 100) {
      nodes {
        id
        uuid
        number
        pipelineName
        state
      }
      feedCursor
    }
  }
}`,
};

export interface JobTasksVariables {
  job: string;
  after?: string | null;
}

export interface JobTasksData {
  /** A job; an error with the code NOT_FOUND if there is none that you may read. */
  job: {
    /** Its running number in its pipeline, from 1. */
    number: number;
    /** The name of its pipeline. */
    pipelineName: string;
    /** Where it stands. */
    state: JobState;
    /** Its tasks in the order of the file, page by page. */
    taskInstances: {
      /** The items, without cursors. */
      nodes: {
        /** The task's name. */
        name: string;
        /** Where it stands. */
        state: TaskInstanceState;
        /** The number of the newest attempt; 0 before the first. */
        attempt: number;
        /** A sentence on why it stands there; may be empty. */
        reason: string;
        /** When the newest attempt's command began; null before. */
        startedAt: string | null;
        /** When it was over; null before that. */
        endedAt: string | null;
      }[];
      /** Where the page stands. */
      pageInfo: {
        /** Whether more follows. When reading from the end: whether a `before` was given. */
        hasNextPage: boolean;
        /** The last item's cursor; null when the page is empty. */
        endCursor: string | null;
      };
    };
  };
}

export const JobTasks: Operation<JobTasksVariables, JobTasksData> = {
  text: `query JobTasks($job: ID!, $after: String) {
  job(id: $job) {
    number
    pipelineName
    state
    taskInstances(first: 100, after: $after) {
      nodes {
        name
        state
        attempt
        reason
        startedAt
        endedAt
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}`,
};

export interface JobEventsVariables {
  job: string;
  after: string;
}

export interface JobEventsData {
  /** Events of everything that you may read, or of one project (id or name), pipeline or job: beyond `after`, or from now on. `states` are those that an event leads to. */
  events: {
    /** Subscribe again with it as `after`, and nothing is missed or repeated. */
    cursor: string;
    /** In the order of the feed. */
    events: {
      /** Its number in the job's history: 1, 2, 3 … without a gap. */
      seq: number;
      /** Such as `task.running` or `job.succeeded`. Kinds may be added: pass over those you do not know. */
      kind: string;
      /** The name of the task it is about; null for the job itself. */
      task: string | null;
      /** When, by the clock of whoever decided it. */
      at: string;
      /** What belongs to it: `from`, `to`, `reason`, `attempt`, `failure`, `exit_code`, `session_id`. */
      payload: unknown;
    }[];
  };
}

export const JobEvents: Operation<JobEventsVariables, JobEventsData> = {
  text: `subscription JobEvents($job: ID!, $after: String!) {
  events(job: $job, after: $after) {
    cursor
    events {
      seq
      kind
      task
      at
      payload
    }
  }
}`,
};
