// The dialog of a robot account: what it is called, how long it is good, what it may do.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Form, Input, InputNumber, Modal, Radio, Select, Space } from "antd";
import { useState } from "react";
import { api, must, type Robot } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { useLater } from "../../parts/useLater";
import { useTongue } from "../../words";
import { Matrix } from "./matrix";
import { hasDenials, isSystem, permissionsFor, projectRights, rightsOf, sameEverywhere, systemRights } from "./rights";
import type { Secret } from "./secret";

interface Fields {
  name: string;
  description: string;
  never: boolean;
  days: number;
  all: boolean;
  projects: string[];
  inProjects: string[];
  inSystem: string[];
}

function initial(robot: Robot | undefined, days: number): Fields {
  const of = robot?.permissions ?? [];
  const projects = of.filter((p) => !isSystem(p));
  return {
    name: robot?.name ?? "", description: robot?.description ?? "", never: robot?.duration === -1, days: robot?.duration != null && robot.duration > 0 ? robot.duration : days,
    all: robot !== undefined && projects.some((p) => p.namespace === "*"), projects: projects.map((p) => p.namespace ?? "").filter((n) => n !== "*"),
    inProjects: robot === undefined ? ["repository:pull", "repository:list"] : rightsOf(projects[0]), inSystem: rightsOf(of.find(isSystem)),
  };
}

export function RobotDialog({ robot, prefix, days, close, made }: { robot?: Robot; prefix: string; days: number; close: () => void; made: (secret: Secret) => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const [start] = useState(() => initial(robot, days));
  const never = Form.useWatch("never", form) ?? start.never;
  const all = Form.useWatch("all", form) ?? start.all;
  const mixed = robot !== undefined && (!sameEverywhere(robot.permissions ?? []) || hasDenials(robot.permissions ?? []));
  const ofProject = robot?.level === "project";
  const save = useSave(robot, mixed, close, made);
  const { fields, required } = words.robots;
  const asked = (get: (name: string) => unknown) => (get("inProjects") as string[]).length + (get("inSystem") as string[] | undefined ?? []).length;
  return (
    <Modal open title={robot === undefined ? words.robots.new : words.robots.edit} onCancel={close} onOk={() => form.submit()} okText={words.common.ok} cancelText={words.common.cancel} confirmLoading={save.isPending} width={720} mask={{ closable: false }}>
      <Form<Fields> form={form} layout="vertical" initialValues={start} onFinish={(f) => save.mutate(f)} onValuesChange={() => save.reset()} scrollToFirstError>
        <Form.Item name="name" label={fields.name} extra={robot === undefined ? words.robots.nameTip(prefix) : undefined}
          rules={robot === undefined ? [{ required: true, message: required.name }, { pattern: /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/, message: required.nameForm }] : []}>
          <Input autoFocus={robot === undefined} disabled={robot !== undefined} maxLength={255} autoComplete="off" />
        </Form.Item>
        <Form.Item label={fields.expiration} required>
          <Space wrap>
            <Form.Item name="never" noStyle><Radio.Group options={[{ value: true, label: fields.never }, { value: false, label: fields.days }]} /></Form.Item>
            <Form.Item name="days" noStyle rules={never ? [] : [{ required: true, type: "integer", min: 1, message: required.days }]}><InputNumber min={1} precision={0} disabled={never} aria-label={fields.days} /></Form.Item>
          </Space>
        </Form.Item>
        <Form.Item name="description" label={fields.description}><Input.TextArea rows={1} className="growing" maxLength={1024} /></Form.Item>
        {mixed ? <Alert type="info" showIcon title={words.robots.mixed} /> : (
          <>
            {!ofProject && <Form.Item name="all" label={fields.projects}><Radio.Group options={[{ value: false, label: fields.some }, { value: true, label: fields.all }]} /></Form.Item>}
            {!ofProject && !all && (
              <Form.Item name="projects" rules={[({ getFieldValue }) => ({ validator: (_, value: string[]) => value.length > 0 || (getFieldValue("inProjects") as string[]).length === 0 ? Promise.resolve() : Promise.reject(new Error(required.projects)) })]}>
                <ProjectChooser label={fields.projects} />
              </Form.Item>
            )}
            <Form.Item name="inProjects" label={fields.projectRights} dependencies={["inSystem"]} rules={[({ getFieldValue }) => ({ validator: () => asked(getFieldValue) > 0 ? Promise.resolve() : Promise.reject(new Error(required.rights)) })]}>
              <Matrix of={projectRights} label={fields.projectRights} />
            </Form.Item>
            {!ofProject && <Form.Item name="inSystem" label={fields.systemRights}><Matrix of={systemRights} label={fields.systemRights} /></Form.Item>}
          </>
        )}
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}

function ProjectChooser({ value, onChange, label }: { value?: string[]; onChange?: (projects: string[]) => void; label: string }) {
  const [text, setText] = useState("");
  const name = useLater(text, 250);
  const projects = useQuery(queries.projects({ page: 1, page_size: 50, ...(name !== "" && { name }) }));
  return (
    <Select mode="multiple" aria-label={label} value={value ?? []} {...(onChange !== undefined && { onChange })} showSearch={{ filterOption: false, onSearch: setText }} loading={projects.isPending}
      options={(projects.data?.data ?? []).map((p) => ({ value: p.name ?? "", label: p.name ?? "" }))} />
  );
}

function useSave(robot: Robot | undefined, mixed: boolean, close: () => void, made: (secret: Secret) => void) {
  const { words } = useTongue();
  const tell = useTell();
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (f: Fields): Promise<Secret | undefined> => {
      const duration = f.never ? -1 : f.days;
      if (robot !== undefined) {
        const namespaces = robot.level === "project" ? (robot.permissions ?? []).map((p) => p.namespace ?? "") : f.all ? ["*"] : f.projects;
        const permissions = mixed ? robot.permissions ?? [] : permissionsFor(namespaces, f.inProjects, f.inSystem ?? []);
        await must(api.PUT("/robots/{robot_id}", { params: { path: { robot_id: robot.id ?? 0 } }, body: { ...robot, description: f.description, duration, permissions } }));
        return undefined;
      }
      const answer = await must(api.POST("/robots", {
        body: { name: f.name, description: f.description, level: "system", duration, disable: false, permissions: permissionsFor(f.all ? ["*"] : f.projects, f.inProjects, f.inSystem) },
      }));
      return { name: answer.name ?? "", secret: answer.secret ?? "" };
    },
    onSuccess: (secret) => {
      tell.done(secret === undefined ? words.robots.updated : words.robots.created);
      void client.invalidateQueries({ queryKey: ["robots"] });
      close();
      if (secret !== undefined) made(secret);
    },
  });
}
