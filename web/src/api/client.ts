// The way to the server's public API. Types come from its specification.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Registry = Schemas["Registry"];
export type RegistryUpdate = Schemas["RegistryUpdate"];
export type RegistryPing = Schemas["RegistryPing"];
export type RegistryInfo = Schemas["RegistryInfo"];
export type ProviderInfo = Schemas["RegistryProviderInfo"];
export type Policy = Schemas["ReplicationPolicy"];
export type Filter = Schemas["ReplicationFilter"];
export type Execution = Schemas["ReplicationExecution"];
export type Task = Schemas["ReplicationTask"];
export type Item = Schemas["ReplicationItem"];
export type Drift = Schemas["ReplicationDrift"];
export type DriftItem = Schemas["ReplicationDriftItem"];
export type DriftCount = Schemas["ReplicationDriftCount"];
export type Activity = Schemas["ReplicationActivity"];
export type ActivityHour = Schemas["ReplicationActivityHour"];
export type ActivityDestination = Schemas["ReplicationActivityDestination"];
export type PlanLine = Schemas["ReplicationPlanLine"];
export type PlanSummary = Schemas["ReplicationPlanSummary"];
export type Label = Schemas["Label"];
export type Project = Schemas["Project"];
export type Member = Schemas["ProjectMemberEntity"];
export type Repository = Schemas["Repository"];
export type Artifact = Schemas["Artifact"];
export type ArtifactReplication = Schemas["ArtifactReplication"];
export type Accessory = Schemas["Accessory"];
export type Tag = Schemas["Tag"];
export type HomeStorage = Schemas["HomeStorage"];
export type StorageRepository = Schemas["StorageRepository"];
export type StorageFsck = Schemas["StorageFsck"];
export type StorageFsckReport = Schemas["StorageFsckReport"];
export type StorageFsckFinding = Schemas["StorageFsckFinding"];
export type StorageDestination = Schemas["StorageDestination"];
export type StoragePreflight = Schemas["StoragePreflight"];
export type StoragePreflightRow = Schemas["StoragePreflightRow"];
export type StorageMigration = Schemas["StorageMigration"];
export type StorageFinding = Schemas["StorageFinding"];
export type StoragePull = Schemas["StoragePull"];
export type StorageDelta = Schemas["StorageDelta"];
export type SystemInfo = Schemas["GeneralInfo"];
export type User = Schemas["UserResp"];
export type LogEntry = Schemas["AuditLogExt"];
export type Robot = Schemas["Robot"];
export type RobotPermission = Schemas["RobotPermission"];

/** A failed request, in the words of the server. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

/** The server could not be asked at all. */
export class UnreachableError extends Error {}

const tokenHeader = "X-Harbor-CSRF-Token";
const backgroundHeader = "X-Lighterage-Background";
const handsOffAfter = 60_000; // milliseconds without a key or a click

let token = "";
let lastInput = Date.now();
let onSessionEnd: () => void = () => undefined;

/** Says what is to be done when the server does not know the session any more. */
export function whenSessionEnds(f: () => void): void {
  onSessionEnd = f;
}

for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => { lastInput = Date.now(); }, { capture: true, passive: true });
}

function safe(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** Sends a request with the token that changes need, once more if the token was too old. */
async function send(request: Request): Promise<Response> {
  const again = safe(request.method) ? undefined : request.clone();
  const response = await attempt(request);
  if (again !== undefined && response.status === 403 && (await response.clone().text()).includes("CSRF token")) {
    return attempt(again);
  }
  return response;
}

async function attempt(request: Request): Promise<Response> {
  if (!safe(request.method) && token !== "") request.headers.set(tokenHeader, token);
  if (Date.now() - lastInput > handsOffAfter) request.headers.set(backgroundHeader, "true");
  let response: Response;
  try {
    response = await fetch(request);
  } catch (cause) {
    throw new UnreachableError("the server cannot be reached", { cause });
  }
  token = response.headers.get(tokenHeader) ?? token;
  return response;
}

export const api = createClient<paths>({ baseUrl: "/api/v2.0", fetch: send });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or an ApiError. */
export async function must<T>(answer: Promise<Answer<T>>): Promise<T> {
  return (await mustPage(answer)).data;
}

/** The data of an answer that is one page of a list, and how many there are on all. */
export async function mustPage<T>(answer: Promise<Answer<T>>): Promise<{ data: T; total: number; location: string; mark: string }> {
  const { data, error, response } = await answer;
  if (!response.ok) {
    if (response.status === 401) onSessionEnd();
    throw failure(response.status, error);
  }
  return {
    data: data as T,
    total: Number(response.headers.get("X-Total-Count") ?? 0),
    location: response.headers.get("Location") ?? "",
    mark: response.headers.get("X-Lighterage-Mark") ?? "",
  };
}

/** The body of an answer that is read while it is made, or an ApiError. */
export async function mustStream(answer: Promise<Answer<unknown>>): Promise<ReadableStream<Uint8Array>> {
  const { error, response } = await answer;
  if (!response.ok || response.body === null) {
    if (response.status === 401) onSessionEnd();
    throw failure(response.status, error);
  }
  return response.body;
}

function failure(status: number, body: unknown): ApiError {
  const first = (body as Schemas["Errors"] | undefined)?.errors?.[0];
  return new ApiError(status, first?.code ?? "", first?.message ?? `HTTP ${status}`);
}

export type LoginResult = "ok" | "wrong" | "slow";

export async function login(principal: string, password: string): Promise<LoginResult> {
  const address = new URL("/c/login", location.href);
  if (token === "") await send(new Request(address));
  const body = new URLSearchParams({ principal, password });
  const response = await send(new Request(address, { method: "POST", body }));
  if (response.ok) return "ok";
  if (response.status === 401) return "wrong";
  if (response.status === 429) return "slow";
  const text = await response.json().catch(() => undefined);
  throw failure(response.status, text);
}

export async function logout(): Promise<void> {
  await send(new Request(new URL("/c/log_out", location.href)));
}
