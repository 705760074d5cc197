// Labels: those of a project, or the global ones.
import { DeleteOutlined, EditOutlined, PlusOutlined, ReloadOutlined } from "@ant-design/icons";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { App, Button, Form, Input, Modal, Table, type TableColumnsType } from "antd";
import { useState } from "react";
import { api, must, type Label } from "../../api/client";
import { queries } from "../../api/queries";
import { Failure, useTell } from "../../parts/failure";
import { Nothing } from "../../parts/page";
import { numberIn } from "../../parts/paging";
import { useServerTable } from "../../parts/serverTable";
import { useTongue } from "../../words";
import { LabelTag } from "../artifacts/label";

/** The labels of a project; of 0: the global ones. */
export function LabelsTable({ project: id, may }: { project: number; may: (right: string) => boolean }) {
  const { words, format } = useTongue();
  const table = useServerTable();
  const labels = useQuery(queries.labelsOf(id, { page: table.page, page_size: table.size, ...(table.sort !== undefined && { sort: table.sort }), ...(table.search !== "" && { name: table.search }) }));
  const [selected, setSelected] = useState<Label[]>([]);
  const list = labels.data?.data ?? [];
  const chosen = list.filter((l) => selected.some((s) => s.id === l.id));
  const remove = useDelete(() => setSelected([]));
  const edited = list.find((l) => l.id === numberIn(table.address, "edit"));
  const add = may("label:create") && <Button type="primary" icon={<PlusOutlined />} onClick={() => table.setAddress({ new: 1 })}>{words.labels.new}</Button>;
  const columns: TableColumnsType<Label> = [
    { title: words.labels.columns.name, dataIndex: "name", sorter: true, sortOrder: table.order("name"), className: "break", render: (_, l) => <LabelTag label={l} /> },
    { title: words.labels.columns.description, dataIndex: "description", className: "break" },
    { title: words.labels.columns.created, dataIndex: "creation_time", sorter: true, sortOrder: table.order("creation_time"), render: (t: string) => format.time(t) },
  ];
  return (
    <>
      <div className="toolbar">
        {add}
        {may("label:update") && <Button icon={<EditOutlined />} disabled={chosen.length !== 1} onClick={() => table.setAddress({ edit: chosen[0]?.id })}>{words.common.edit}</Button>}
        {may("label:delete") && <Button icon={<DeleteOutlined />} danger disabled={chosen.length === 0} onClick={() => remove(chosen)}>{words.common.delete}</Button>}
        <span className="toolbar-space" />
        <Input.Search className="toolbar-search" allowClear placeholder={words.labels.filter} aria-label={words.labels.filter} {...table.field} />
        <Button icon={<ReloadOutlined />} aria-label={words.common.refresh} title={words.common.refresh} onClick={() => void labels.refetch()} />
      </div>
      {labels.error !== null && <Failure error={labels.error} retry={() => void labels.refetch()} />}
      <Table<Label>
        rowKey={(l) => l.id ?? 0} columns={columns} dataSource={list} loading={labels.isPending} pagination={table.pagination(labels.data?.total)} onChange={table.onChange} showSorterTooltip={false} size="middle" scroll={{ x: 560 }}
        {...(may("label:delete") && {
          rowSelection: {
            selectedRowKeys: chosen.map((l) => l.id ?? 0), onChange: (_: unknown, rows: Label[]) => setSelected(rows),
            getCheckboxProps: (l: Label) => ({ "aria-label": words.common.select(l.name ?? "") }),
            getTitleCheckboxProps: () => ({ "aria-label": words.common.selectAll }),
          },
        })}
        locale={{ emptyText: labels.isSuccess ? (table.search === "" ? <Nothing title={words.labels.empty} text={words.labels.emptyText}>{add}</Nothing> : <Nothing title={words.labels.noMatch} />) : " " }}
      />
      {table.address.has("new") && may("label:create") && <LabelDialog project={id} close={() => table.setAddress({ new: undefined })} />}
      {edited !== undefined && may("label:update") && <LabelDialog key={edited.id} project={id} label={edited} close={() => table.setAddress({ edit: undefined })} />}
    </>
  );
}

interface Fields {
  name: string;
  description: string;
  color: string;
}

function LabelDialog({ project, label, close }: { project: number; label?: Label; close: () => void }) {
  const { words } = useTongue();
  const [form] = Form.useForm<Fields>();
  const [start] = useState<Fields>(() => ({ name: label?.name ?? "", description: label?.description ?? "", color: label?.color === undefined || label.color === "" ? "#0b5cad" : label.color }));
  const tell = useTell();
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: (fields: Fields) => {
      const body = { ...fields, name: fields.name.trim(), scope: project === 0 ? "g" : "p", project_id: project };
      return label?.id === undefined ? must(api.POST("/labels", { body })) : must(api.PUT("/labels/{label_id}", { params: { path: { label_id: label.id } }, body }));
    },
    onSuccess: () => {
      tell.done(label === undefined ? words.labels.created : words.labels.updated);
      for (const key of ["labels", "artifacts"]) void client.invalidateQueries({ queryKey: [key] });
      close();
    },
  });
  return (
    <Modal open title={label === undefined ? words.labels.new : words.labels.editTitle} onCancel={close} okText={words.common.ok} cancelText={words.common.cancel} onOk={() => form.submit()} confirmLoading={save.isPending} mask={{ closable: false }} width={520}>
      <Form<Fields> form={form} layout="vertical" initialValues={start} onFinish={(fields) => save.mutate(fields)} onValuesChange={() => save.reset()}>
        <Form.Item name="name" label={words.labels.name} rules={[{ required: true, whitespace: true, message: words.labels.required }]}><Input autoFocus maxLength={128} autoComplete="off" /></Form.Item>
        <Form.Item name="color" label={words.labels.color}><Input type="color" style={{ width: 72, padding: 2 }} /></Form.Item>
        <Form.Item name="description" label={words.labels.description}><Input.TextArea rows={1} className="growing" /></Form.Item>
      </Form>
      <div aria-live="polite">{save.isError && <Failure error={save.error} />}</div>
    </Modal>
  );
}

function useDelete(done: () => void): (list: Label[]) => void {
  const { words } = useTongue();
  const { modal } = App.useApp();
  const tell = useTell();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: async (list: Label[]) => {
      for (const { id = 0 } of list) await must(api.DELETE("/labels/{label_id}", { params: { path: { label_id: id } } }));
    },
    onSuccess: () => { tell.done(words.labels.deleted); done(); },
    onError: tell.failed,
    onSettled: () => {
      for (const key of ["labels", "artifacts"]) void client.invalidateQueries({ queryKey: [key] });
    },
  });
  return (list) => modal.confirm({
    title: words.labels.deleteTitle, okText: words.common.delete, cancelText: words.common.cancel, okButtonProps: { danger: true }, width: 480,
    content: <><p className="break">{words.labels.deleteText(list.map((l) => l.name).join(", "))}</p><p>{words.labels.deleteWhat}</p></>,
    onOk: () => remove.mutateAsync(list).catch(() => undefined),
  });
}
