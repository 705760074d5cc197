// 所有文字的简体中文版。优先使用 Harbor 的用语，不清楚之处采用更明确的说法。
import type { Words } from "../en";
import { artifacts } from "./artifacts";
import { banner } from "./banner";
import { common } from "./common";
import { cron } from "./cron";
import { drift } from "./drift";
import { execution } from "./execution";
import { executions } from "./executions";
import { held } from "./held";
import { labels } from "./labels";
import { log } from "./log";
import { logs } from "./logs";
import { more } from "./more";
import { migration } from "./migration";
import { nav } from "./nav";
import { overview } from "./overview";
import { members, projects } from "./projects";
import { pattern } from "./pattern";
import { plan } from "./plan";
import { registries } from "./registries";
import { replications } from "./replications";
import { repositories } from "./repositories";
import { robots } from "./robots";
import { rule } from "./rule";
import { search } from "./search";
import { settings } from "./settings";
import { signIn } from "./signIn";
import { storage } from "./storage";
import { unsaved } from "./unsaved";
import { users } from "./users";

export const zh: Words = {
  product: "Lighterage",
  languageName: "简体中文",
  nav,
  common,
  signIn,
  search,
  overview,
  projects,
  members,
  repositories,
  artifacts,
  banner,
  labels,
  registries,
  replications,
  rule,
  executions,
  execution,
  held,
  log,
  drift,
  storage,
  migration,
  cron,
  more,
  pattern,
  plan,
  logs,
  robots,
  settings,
  unsaved,
  users,
};
