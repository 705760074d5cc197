import { WarningFilled } from "@ant-design/icons";
import { Button } from "antd";
import { Component, type ReactNode } from "react";
import { useWords } from "../words";
import { Message } from "./message";

/** Shows what went wrong in place of an empty page. */
export class Crash extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    return this.state.error === undefined ? this.props.children : <Crashed error={this.state.error} />;
  }
}

function Crashed({ error }: { error: Error }) {
  const words = useWords();
  return (
    <Message icon={<WarningFilled />} title={words.common.crashed} text={words.common.crashedText}>
      <pre className="code reason">{`${error.name}: ${error.message}`}</pre>
      <Button type="primary" onClick={() => location.reload()}>{words.common.reload}</Button>
    </Message>
  );
}
