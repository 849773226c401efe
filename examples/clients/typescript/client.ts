/**
 * A client of FastTrack's GraphQL: ask once, or follow for good. Needs nothing but `fetch` and `WebSocket`, which
 * browsers and Node 22 have. What it gives is typed by the operation: see operations.graphql and operations.ts.
 */

/** An operation, and which variables and data belong to it. */
export interface Operation<Variables, Data> {
  readonly text: string;
  /** Never there; it carries the types. */
  readonly types?: (variables: Variables) => Data;
}

/** What the server refused, or could not do. `code` is for programs and stays; `message` is for people. */
export class ApiError extends Error {
  readonly code: string;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;
  /** In seconds; 0: the server does not say. */
  readonly retryAfter: number;

  constructor(code: string, message: string, retryable: boolean, retryAfter = 0) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }
}

export interface Options {
  /** Such as `https://fasttrack.example.com`. */
  server: string;
  /** Without it: what the server lets anybody on its own machine do. */
  token?: string | undefined;
  /** Told before each new try, for a line such as "connection lost, trying again". */
  onRetry?: (error: ApiError, seconds: number) => void;
}

const PROTOCOL = "graphql-transport-ws";
/** A quiet stream says where it is every 15 seconds. One that says nothing for three times that is dead. */
const SILENCE_MS = 45_000;
const LONGEST_PAUSE_MS = 15_000;
/** With these codes a socket says that the next one would end alike. */
const FINAL = new Map([[4400, "BAD_MESSAGE"], [4401, "UNAUTHENTICATED"], [4406, "WRONG_PROTOCOL"]]);

export class Client {
  readonly #address: string;
  readonly #options: Options;

  constructor(options: Options) {
    this.#address = new URL("/graphql", options.server).href;
    this.#options = options;
  }

  /** Ask a query. Tries again for as long as that may help, so send no mutation here without an idempotency key. */
  async ask<Variables, Data>(operation: Operation<Variables, Data>, variables: Variables): Promise<Data> {
    for (let tries = 0; ; tries++) {
      try {
        return await this.#post<Data>(operation.text, variables);
      } catch (error) {
        await this.#pause(error, tries);
      }
    }
  }

  /**
   * Follow a subscription beyond `variables.after`, over as many connections as it takes: every message once, in order.
   * Ends when the server completes it. Throws what no new connection can mend; with the code `CURSOR_EXPIRED` the
   * caller lists again, and follows from there.
   */
  async *follow<Variables extends { after: string }, Data>(
    operation: Operation<Variables, Data>,
    variables: Variables,
    cursorOf: (data: Data) => string,
  ): AsyncGenerator<Data, void, void> {
    for (let tries = 0; ; tries++) {
      try {
        for await (const data of this.#subscribe<Data>(operation.text, variables)) {
          variables = { ...variables, after: cursorOf(data) };
          tries = 0;
          yield data;
        }
        return;
      } catch (error) {
        await this.#pause(error, tries);
      }
    }
  }

  async #post<Data>(query: string, variables: unknown): Promise<Data> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (this.#options.token) headers["Authorization"] = `Bearer ${this.#options.token}`;
    const body = JSON.stringify({ query, variables });
    const signal = AbortSignal.timeout(SILENCE_MS);
    const answer = await fetch(this.#address, { method: "POST", headers, body, signal }).catch(unreachable);
    const told = await answer.json().catch(unreachable);
    const retryAfter = Number(answer.headers.get("Retry-After") ?? 0);
    if (!answer.ok) throw new ApiError(told.code, told.detail, told.retryable ?? answer.status >= 500, retryAfter);
    return dataOf<Data>(told);
  }

  /** One connection, to its end. */
  async *#subscribe<Data>(query: string, variables: unknown): AsyncGenerator<Data, void, void> {
    const socket = new WebSocket(this.#address.replace(/^http/, "ws"), PROTOCOL);
    const arrived: (MessageEvent | CloseEvent)[] = [];
    let wake = (): void => {};
    const take = (event: MessageEvent | CloseEvent): void => {
      arrived.push(event);
      wake();
    };
    const say = (message: object): void => socket.send(JSON.stringify(message));
    const authorization = this.#options.token && `Bearer ${this.#options.token}`;
    socket.onopen = () => say({ type: "connection_init", payload: { authorization } });
    socket.onmessage = take;
    socket.onclose = take;
    try {
      for (;;) {
        const silence = setTimeout(() => take(new CloseEvent("close", { reason: "nothing came any more" })), SILENCE_MS);
        while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        clearTimeout(silence);
        const event = arrived.shift()!;
        if (!("data" in event)) {
          const code = FINAL.get(event.code);
          throw new ApiError(code ?? "CONNECTION_LOST", event.reason || "the connection was lost", code === undefined);
        }
        const message = JSON.parse(event.data);
        if (message.type === "connection_ack") say({ type: "subscribe", id: "1", payload: { query, variables } });
        if (message.type === "ping") say({ type: "pong" });
        if (message.type === "next") yield dataOf<Data>(message.payload);
        if (message.type === "error") dataOf({ errors: message.payload });
        if (message.type === "complete") return;
      }
    } finally {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  /** Wait before another try: ever longer, and never in step with others. Throws the error if none can help. */
  async #pause(error: unknown, tries: number): Promise<void> {
    if (!(error instanceof ApiError) || !error.retryable) throw error;
    const most = Math.min(250 * 2 ** tries, LONGEST_PAUSE_MS);
    const pause = error.retryAfter * 1000 + most * (0.5 + Math.random() / 2);
    this.#options.onRetry?.(error, pause / 1000);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function dataOf<Data>(answer: { data?: Data; errors?: { message: string; extensions?: any }[] }): Data {
  const [error] = answer.errors ?? [];
  if (error) throw new ApiError(error.extensions?.code ?? "INTERNAL", error.message, error.extensions?.retryable ?? false);
  return answer.data!;
}

function unreachable(error: Error): never {
  throw new ApiError("CONNECTION_LOST", `the server cannot be reached: ${error.message}`, true);
}
