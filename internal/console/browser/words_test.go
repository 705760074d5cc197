package browser_test

// words are the texts of the console that tests press and look for, in one language.
type words struct {
	tag, logIn, wrongLogin, overview, nothingYet, registries, replications, logOut, account            string
	newEndpoint, test, ok, cancel, save, tested, testFailed, refused, created, healthy, unhealthy      string
	nameRequired, urlRequired, edit, delete, inUse                                                     string
	newRule, eventBased, scheduled, deleteRemote, override, enableRule, ruleCreated, replicate         string
	succeeded, failed, tasks, drift, verify, inSync, inSyncAll, readOnly, everyDay, cronBad, bandwidth string
	copyRule, deactivate, actions, enabledState, deactivatedState, ended                               string
}

func english() words {
	return words{
		tag: "en-US", logIn: "LOG IN", wrongLogin: "Invalid user name or password.", overview: "Overview", nothingYet: "Nothing is replicated yet",
		registries: "Registries", replications: "Replications", logOut: "Log Out", account: "Account: admin",
		newEndpoint: "New Endpoint", test: "Test Connection", ok: "OK", cancel: "CANCEL", save: "SAVE", tested: "Connection tested successfully.",
		testFailed: "Failed to ping endpoint.", refused: `refuses the credential of "pusher". Check the access ID`, created: "Endpoint created successfully.",
		healthy: "Healthy", unhealthy: "Unhealthy", nameRequired: "Endpoint name is required.", urlRequired: "Endpoint URL is required.",
		edit: "Edit", delete: "Delete", inUse: "Delete these rules or have them go elsewhere first.",
		newRule: "New Replication Rule", eventBased: "Event Based", scheduled: "Scheduled", deleteRemote: "Delete remote resources when locally deleted", override: "Override",
		enableRule: "Enable rule", ruleCreated: "Replication rule created successfully.", replicate: "Replicate",
		succeeded: "Succeeded", failed: "Failed", tasks: "Tasks", drift: "Drift", verify: "Verify now", inSync: "In sync", inSyncAll: "All 1 destination in sync",
		readOnly: "The registry is in read-only mode", everyDay: "Every day at 02:30", cronBad: "The 1st field must be 0.", bandwidth: "Please enter -1 or an integer greater than 0.",
		copyRule: "Copy", deactivate: "DEACTIVATE", actions: "Actions", enabledState: "Enabled", deactivatedState: "Deactivated", ended: "Your session has ended",
	}
}

func chinese() words {
	return words{
		tag: "zh-CN", logIn: "登录", wrongLogin: "用户名或者密码不正确。", overview: "概览", nothingYet: "尚未复制任何内容",
		registries: "仓库管理", replications: "复制管理", logOut: "退出登录", account: "账户: admin",
		newEndpoint: "新建目标", test: "测试连接", ok: "确定", cancel: "取消", save: "保存", tested: "测试连接成功。",
		testFailed: "测试连接失败。", refused: `拒绝账户 "pusher" 的凭据`, created: "成功创建目标。",
		healthy: "健康", unhealthy: "不健康", nameRequired: "目标名为必填项。", urlRequired: "目标URL为必填项。",
		edit: "编辑", delete: "删除", inUse: "请先删除这些规则或改用其他目标。",
		newRule: "新建规则", eventBased: "事件驱动", scheduled: "定时", deleteRemote: "删除本地资源时同时也删除远程的资源。", override: "覆盖",
		enableRule: "启用规则", ruleCreated: "成功创建复制规则。", replicate: "复制",
		succeeded: "成功", failed: "失败", tasks: "任务", drift: "差异", verify: "立即核对", inSync: "已同步", inSyncAll: "全部 1 个目标仓库均已同步",
		readOnly: "镜像库处于只读模式", everyDay: "每天 02:30", cronBad: "第一项必须为 0。", bandwidth: "请输入-1或者大于0的整数",
		copyRule: "复制规则", deactivate: "停用", actions: "操作", enabledState: "启用", deactivatedState: "停用", ended: "会话已过期",
	}
}
